//! `causeway credential mint` and `inspect`.

use std::time::Duration;

use anyhow::Context;
use causeway_credentials::{
    inspect::{self, Finding, Validity},
    turn_rest::{self, SharedSecrets},
};
use causeway_stun_codec::key;
use causeway_types::Now;
use clap::ArgMatches;

use crate::{cli::say, config::Settings};

pub(crate) fn mint(settings: &Settings, matches: &ArgMatches) -> anyhow::Result<()> {
    let secret = settings.turn_secret.first().context("set CAUSEWAY_TURN_SECRET, or turn_secret in the file")?;
    let ttl = matches.get_one::<u64>("ttl").copied().unwrap_or(86_400);
    let expiry = Now::read().unix.saturating_add(Duration::from_secs(ttl));
    let user = matches.get_one::<String>("user").map(String::as_str);
    let username = turn_rest::username(expiry, user, settings.rest_separator);
    let password = turn_rest::password(secret.expose(), &username);
    let md5 = hex::encode(key::md5_key(&username, &settings.realm, &password));
    say(&format!("username  {username}\npassword  {password}\nrealm     {}\nkey       {md5}\n", settings.realm));
    Ok(())
}

pub(crate) fn inspect(settings: &Settings, matches: &ArgMatches) -> anyhow::Result<()> {
    let (Some(username), Some(password)) =
        (matches.get_one::<String>("username"), matches.get_one::<String>("password"))
    else {
        anyhow::bail!("give a user name and a password");
    };
    let secrets = SharedSecrets::new(settings.turn_secret.clone());
    let finding = inspect::inspect(username, password, &secrets, settings.rest_separator, Now::read().unix);
    say(&format!("{}\n", sentence(&finding, settings, username, password)));
    Ok(())
}

fn sentence(finding: &Finding, settings: &Settings, username: &str, password: &str) -> String {
    match finding {
        Finding::Issued => {
            "a credential issued over REST: only the server's store knows whether it is known and still good".to_owned()
        }
        Finding::TurnRest { secret_index, validity: Validity::Left(left) } => {
            format!("good: made with secret {}, {} s left", secret_index + 1, left.as_secs())
        }
        Finding::TurnRest { secret_index, validity: Validity::ExpiredAgo(ago) } => {
            format!("expired {} s ago; it was made with secret {}", ago.as_secs(), secret_index + 1)
        }
        Finding::TurnRestWrongSecret { validity } => {
            let time = match validity {
                Validity::Left(left) => format!("{} s left", left.as_secs()),
                Validity::ExpiredAgo(ago) => format!("and it expired {} s ago", ago.as_secs()),
            };
            format!("wrong password: none of the {} configured secrets made it ({time})", settings.turn_secret.len())
        }
        Finding::TurnRestWithoutSecret => {
            "it has the TURN REST form, but no secret is configured here: set CAUSEWAY_TURN_SECRET".to_owned()
        }
        Finding::Other => match settings.users.iter().find(|user| user.name == *username) {
            Some(user) if user.password.expose() == password => "good: a static user".to_owned(),
            Some(_) => "wrong password for a static user".to_owned(),
            None => "unknown: neither issued, nor TURN REST form, nor a static user of this configuration".to_owned(),
        },
    }
}
