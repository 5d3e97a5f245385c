//! Which region a credential is for (`compat/turnix.md#regions`): what is asked for, else what is near.

use std::{collections::BTreeSet, net::IpAddr};

use super::{IceUrls, NodeView, Place, RegionRefusal, RegionSnapshot, RegionView, RegionWish};

/// Whether an address says where its client is. One that is private, loopback or link-local does not.
pub(super) fn tells_a_place(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
    }
}

/// Chooses; `place` is asked only when nearness matters.
pub(super) fn choose<'a>(
    snapshot: &'a RegionSnapshot,
    wish: &RegionWish,
    client: Option<IpAddr>,
    place: impl FnOnce() -> Option<Place>,
    allowed: Option<&BTreeSet<String>>,
) -> Result<&'a RegionView, RegionRefusal> {
    let is_allowed = |view: &RegionView| allowed.is_none_or(|list| list.contains(&*view.site.slug));
    if let Some(fixed) = &wish.fixed {
        let view = snapshot.find(fixed).ok_or(RegionRefusal::Unknown)?;
        if !is_allowed(view) {
            return Err(RegionRefusal::Forbidden);
        }
        return if view.is_operational { Ok(view) } else { Err(RegionRefusal::Unavailable) };
    }
    let serving: Vec<&RegionView> =
        snapshot.regions.iter().filter(|view| view.is_operational && is_allowed(view)).collect();
    let preferred = wish.preferred.as_ref().and_then(|slug| serving.iter().find(|view| *view.site.slug == **slug));
    let chosen = match preferred {
        Some(view) => Some(*view),
        None => place()
            .and_then(|place| near_place(&serving, &place, &snapshot.own))
            .or_else(|| client.and_then(|ip| near_network(&serving, ip)))
            .or_else(|| near_own(snapshot, &serving)),
    };
    chosen.ok_or(RegionRefusal::NoneServes)
}

/// What a client of this region is handed; nodes serve in turn.
pub(super) fn urls(region: &RegionView, turn: usize) -> IceUrls {
    if let Some(urls) = &region.site.urls {
        return urls.clone();
    }
    let serving: Vec<&NodeView> = region.nodes.iter().filter(|node| node.is_operational()).collect();
    let index = turn.checked_rem(serving.len()).unwrap_or(0);
    serving.get(index).map(|node| node.report.urls.clone()).unwrap_or_default()
}

/// By coordinates; by country when the database knows no more.
fn near_place<'a>(serving: &[&'a RegionView], place: &Place, own: &str) -> Option<&'a RegionView> {
    if let Some(from) = place.coordinates {
        return nearest(serving, from);
    }
    let country = place.country.as_deref()?;
    let mut there = serving.iter().copied().filter(|view| view.site.country == country);
    let first = there.next()?;
    Some(there.find(|view| &*view.site.slug == own).unwrap_or(first))
}

/// By the longest of the networks that the address is in.
fn near_network<'a>(serving: &[&'a RegionView], ip: IpAddr) -> Option<&'a RegionView> {
    let longest = |view: &RegionView| {
        let networks = view.site.networks.iter().filter(|network| network.contains(&ip));
        networks.map(ipnet::IpNet::prefix_len).max()
    };
    let known = serving.iter().filter_map(|view| Some((longest(view)?, *view)));
    // Of equals the first by slug: `max_by_key` would take the last.
    known.rev().max_by_key(|(length, _)| *length).map(|(_, view)| view)
}

/// This server's own region, else what is nearest to it.
fn near_own<'a>(snapshot: &RegionSnapshot, serving: &[&'a RegionView]) -> Option<&'a RegionView> {
    if let Some(own) = serving.iter().find(|view| view.site.slug == snapshot.own) {
        return Some(own);
    }
    match snapshot.find(&snapshot.own) {
        Some(own) => nearest(serving, (own.site.latitude, own.site.longitude)),
        None => serving.first().copied(),
    }
}

fn nearest<'a>(serving: &[&'a RegionView], from: (f64, f64)) -> Option<&'a RegionView> {
    let distance = |view: &RegionView| central_angle(from, (view.site.latitude, view.site.longitude));
    serving.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// The angle between two places as seen from the centre of the earth, by the haversine formula: enough to compare.
fn central_angle(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |x: f64, y: f64| ((x - y).to_radians() / 2.0).sin().powi(2);
    let cosines = a.0.to_radians().cos() * b.0.to_radians().cos();
    (half(a.0, b.0) + cosines * half(a.1, b.1)).sqrt().min(1.0).asin() * 2.0
}
