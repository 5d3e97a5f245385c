//! Wiring of people: their use-cases, the first link, and `causeway console-link`.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use causeway_app::{Callers, Cursor, MadeLink, People, SignInLimits};
use causeway_events::EventBus;
use causeway_store::SqlStore;
use causeway_types::Now;
use clap::ArgMatches;

use crate::{cli::say, config::Settings, node::Node, report::reachable, serve::open_store};

/// Who knows tokens and sign-ins.
pub(crate) fn callers(settings: &Settings, store: &Arc<SqlStore>, bus: &Arc<EventBus>) -> Arc<Callers<SqlStore>> {
    let limits = SignInLimits { idle: settings.console_idle_timeout, lifetime: settings.console_session_lifetime };
    Arc::new(Callers::new(Arc::clone(store), Arc::<EventBus>::clone(bus)).with_sign_in_limits(limits))
}

/// Where the console is, without a slash at its end.
pub(crate) fn console_url(settings: &Settings, http: &[(SocketAddr, bool)]) -> String {
    if let Some(url) = &settings.console_url {
        return url.clone();
    }
    let (address, is_tls) = http.first().copied().unwrap_or((settings.http_listen, false));
    format!("{}://{}", if is_tls { "https" } else { "http" }, reachable(address))
}

/// As a person opens it.
pub(crate) fn link_url(console: &str, link: &MadeLink) -> String {
    format!("{console}/welcome#token={}", link.token.expose())
}

/// `causeway console-link`: a link for the first owner, or for somebody who is to choose a new password.
pub(crate) fn console_link(settings: &Settings, matches: &ArgMatches) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let email = matches.get_one::<String>("email").map(String::as_str);
    let link = runtime.block_on(make_link(settings, email))?;
    let hours = link.expires_at.saturating_since(Now::read().unix).as_secs().div_ceil(3600);
    say(&format!("{}\ngood once, for {hours} hours\n", link_url(&console_url(settings, &[]), &link)));
    Ok(())
}

async fn make_link(settings: &Settings, email: Option<&str>) -> anyhow::Result<MadeLink> {
    let database = settings.data_dir.join("causeway.db");
    if settings.database_url.is_none() && !database.exists() {
        anyhow::bail!("there is no database at {}: start the server first, or name its --data-dir", database.display());
    }
    let node = Node::load(settings.node_id.as_deref(), &settings.data_dir)?;
    let store = Arc::new(open_store(settings, &node).await?);
    let now = Now::read().unix;
    let callers = Arc::new(Callers::new(Arc::clone(&store), Arc::new(EventBus::new(Cursor(1), 1))));
    let people = People::new(Arc::<SqlStore>::clone(&store), callers);
    let link = match email {
        Some(email) => Some(people.rescue_link(email, now).await.with_context(|| format!("no link for {email}"))?),
        None => people.first_link(now).await?,
    };
    store.close().await;
    link.context("there is an owner already; name who is to choose a new password: causeway console-link EMAIL")
}
