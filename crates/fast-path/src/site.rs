//! Where a program sits: the link that holds it there, and whether it still does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::programs::links::FdLink;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// At the tc ingress.
    Tc,
    /// XDP in the driver.
    XdpDriver,
    /// XDP behind the driver.
    XdpGeneric,
}

impl Entry {
    /// As logs and metrics call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::XdpDriver => "xdp",
            Self::XdpGeneric => "xdp_generic",
        }
    }
}

/// A program at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The interface's name.
    pub interface: String,
    /// The program.
    pub entry: Entry,
    /// Whether it is there: an administrator may have taken it off, or the interface.
    pub is_attached: bool,
}

/// Holds a program at an interface, as long as it lives.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) interface: String,
    pub(crate) entry: Entry,
    /// The link ends with this descriptor.
    _link: FdLink,
    /// What the kernel says of it, as a file.
    told: Option<PathBuf>,
}

impl Held {
    pub(crate) fn new(interface: String, entry: Entry, link: FdLink) -> Self {
        let told = link.info().ok().and_then(|info| told_of(info.id()));
        Self { interface, entry, _link: link, told }
    }

    pub(crate) fn site(&self) -> Site {
        // Where the kernel tells nothing, nothing speaks against it.
        let is_attached = self.told.as_deref().and_then(interface_of).is_none_or(|index| index != 0);
        Site { interface: self.interface.clone(), entry: self.entry, is_attached }
    }
}

/// The file of the link with this id. Looked for once, at the start, when few files are open.
fn told_of(id: u32) -> Option<PathBuf> {
    let wanted = id.to_string();
    let files = fs::read_dir("/proc/self/fdinfo").ok()?;
    files.filter_map(Result::ok).map(|file| file.path()).find(|path| field(path, "link_id").as_ref() == Some(&wanted))
}

/// The interface a link is at; 0 once it is none.
fn interface_of(told: &Path) -> Option<u32> {
    field(told, "ifindex")?.parse().ok()
}

fn field(path: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}
