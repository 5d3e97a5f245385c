//! `[[regions]]`: the list of regions, read and checked.

use std::{collections::BTreeSet, sync::Arc};

use causeway_app::{IceUrls, Identifier, RegionSite};
use ipnet::IpNet;
use toml::{Table, Value};

use super::{
    Settings,
    load::{Fault, header_lines, nearest},
    parse::network,
};

/// What may stand under `[[regions]]`.
const FIELDS: &[&str] = &["slug", "nat2", "city", "name", "lat", "lon", "cidrs", "urls"];

/// Reads the list; a region with a fault is left out.
pub(super) fn read(text: &str, table: &Table, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let list = match table.get("regions") {
        None => return,
        Some(Value::Array(list)) if list.iter().all(Value::is_table) => list,
        Some(_) => {
            let what = "`regions` is no list of tables".to_owned();
            faults.push(fault(what, "begin each region with a line [[regions]]"));
            return;
        }
    };
    let lines = header_lines(text, "regions");
    let mut taken = BTreeSet::new();
    for (index, fields) in list.iter().filter_map(Value::as_table).enumerate() {
        let mut reader = Reader { fields, line: lines.get(index).copied().unwrap_or(1), faults };
        let site = reader.site();
        if let Some(site) = site {
            if taken.insert(Arc::clone(&site.slug)) {
                settings.regions.push(site);
            } else {
                reader.fault("slug", "is that of another region", "give every region a slug of its own");
            }
        }
    }
}

/// What the list and other keys say together.
pub(super) fn check_together(settings: &Settings, faults: &mut Vec<Fault>) {
    let is_listed = settings.regions.iter().any(|site| *site.slug == *settings.region);
    if !settings.regions.is_empty() && !is_listed {
        let slugs: Vec<&str> = settings.regions.iter().map(|site| &*site.slug).collect();
        let what = format!("this server's region is {:?}, which is not in the list [[regions]]", settings.region);
        let advice = format!("set `region` to one of: {}", slugs.join(", "));
        faults.push(Fault { subject: "region".to_owned(), what, advice });
    }
}

fn fault(what: String, advice: &str) -> Fault {
    Fault { subject: "regions".to_owned(), what, advice: advice.to_owned() }
}

struct Reader<'a> {
    fields: &'a Table,
    /// Of its `[[regions]]`.
    line: usize,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn site(&mut self) -> Option<RegionSite> {
        for name in self.fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
            let what = format!("`{name}` of the [[regions]] in line {} is no key", self.line);
            self.faults.push(fault(what, &format!("did you mean `{}`?", nearest(name, FIELDS))));
        }
        let slug = self.slug();
        let country = self.country();
        let latitude = self.degrees("lat", 90.0);
        let longitude = self.degrees("lon", 180.0);
        let networks = self.networks();
        let urls = self.urls();
        let slug = slug?;
        let text = |name| self.fields.get(name).and_then(Value::as_str).unwrap_or(&slug).to_owned();
        Some(RegionSite {
            city: text("city"),
            name: text("name"),
            country: country?,
            latitude: latitude?,
            longitude: longitude?,
            networks: networks?,
            urls: urls?,
            slug: Arc::from(slug.as_str()),
        })
    }

    fn slug(&mut self) -> Option<String> {
        let slug = self.fields.get("slug").and_then(Value::as_str);
        let good = slug.and_then(|slug| Identifier::new(slug).ok()).map(|slug| slug.to_string());
        if good.is_none() {
            self.fault("slug", "is missing or no name", "1 to 100 letters, digits, - and _, e.g. \"eu-central\"");
        }
        good
    }

    fn country(&mut self) -> Option<String> {
        let text = self.fields.get("nat2").and_then(Value::as_str);
        let good = text.filter(|text| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()));
        if good.is_none() {
            self.fault("nat2", "is missing or no country", "two capital letters of ISO 3166-1, e.g. \"DE\"");
        }
        good.map(str::to_owned)
    }

    fn degrees(&mut self, name: &str, max: f64) -> Option<f64> {
        let value = self.fields.get(name);
        #[expect(clippy::cast_precision_loss, reason = "degrees are at most three digits")]
        let number = value.and_then(|value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64)));
        let good = number.filter(|degrees| (-max..=max).contains(degrees));
        if good.is_none() {
            self.fault(name, "is missing or no place", &format!("a number from -{max} to {max}, in degrees"));
        }
        good
    }

    fn networks(&mut self) -> Option<Vec<IpNet>> {
        let networks: Option<Vec<IpNet>> =
            self.texts("cidrs").and_then(|texts| texts.iter().map(|text| network(text).ok()).collect());
        if networks.is_none() {
            self.fault("cidrs", "is no list of networks", "e.g. [\"192.0.2.0/24\", \"2001:db8::/32\"]");
        }
        networks
    }

    fn urls(&mut self) -> Option<Option<IceUrls>> {
        let urls = self.texts("urls").and_then(|texts| IceUrls::sorted(texts).ok());
        match urls {
            None => {
                self.fault("urls", "is no list of STUN and TURN URLs", "e.g. [\"turn:host:3478?transport=udp\"]");
                None
            }
            Some(urls) if urls == IceUrls::default() => Some(None),
            Some(urls) => Some(Some(urls)),
        }
    }

    /// Nothing at all is an empty list; `None` when there is something else.
    fn texts(&self, name: &str) -> Option<Vec<String>> {
        match self.fields.get(name) {
            None => Some(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        }
    }

    fn fault(&mut self, name: &str, what: &str, advice: &str) {
        let what = format!("`{name}` of the [[regions]] in line {} {what}", self.line);
        self.faults.push(fault(what, advice));
    }
}
