//! Which server this is among those that share a database: a name, and a number for session numbers.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use causeway_app::Identifier;

/// This server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// In the sessions it writes.
    pub(crate) name: String,
    /// 0–999, drawn from the name.
    pub(crate) number: u16,
}

impl Node {
    /// As configured, else as kept in the data directory, else made and kept.
    pub(crate) fn load(configured: Option<&str>, directory: &Path) -> anyhow::Result<Self> {
        if let Some(name) = configured {
            return Ok(Self::named(name));
        }
        let path = directory.join("node-id");
        if let Ok(text) = fs::read_to_string(&path) {
            let name = Identifier::new(text.trim())
                .with_context(|| format!("{} is damaged; remove it to have a new one made", path.display()))?;
            return Ok(Self::named(name.as_str()));
        }
        let mut random = [0; 6];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
        let name = format!("node-{}", hex::encode(random));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(name.as_bytes())?;
        Ok(Self::named(&name))
    }

    fn named(name: &str) -> Self {
        // Any stable spread will do: FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { name: name.to_owned(), number: u16::try_from(hash % 1000).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = Node::load(None, directory.path()).unwrap();
        assert_eq!(Node::load(None, directory.path()).unwrap(), first);
        assert_eq!(Node::load(Some("paris-1"), directory.path()).unwrap().name, "paris-1");
        assert!(first.number < 1000);
        fs::write(directory.path().join("node-id"), "not a name!").unwrap();
        assert!(Node::load(None, directory.path()).is_err());
    }
}
