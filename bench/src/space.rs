//! Network namespaces that a measurement makes for itself: linked with each other, with nothing else, and gone with it.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    fd::AsFd,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace with a loopback. It ends with this value, with this process, and with the thread that made it.
#[derive(Debug)]
pub struct Space {
    /// Does nothing but be in there.
    holder: Child,
    handle: File,
}

impl Space {
    /// Makes one. Needs root.
    pub fn new() -> Result<Self> {
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .spawn()
            .context("setpriv (Debian package util-linux) cannot be started")?;
        let path = format!("/proc/{}/ns/net", holder.id());
        let own = fs::read_link(OWN)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::read_link(&path).is_ok_and(|theirs| theirs == own) {
            ensure!(holder.try_wait()?.is_none(), "no network namespace can be made here; it takes root");
            ensure!(Instant::now() < deadline, "unshare does not come to it");
            thread::sleep(Duration::from_millis(2));
        }
        let handle = File::open(&path).context("no network namespace can be made here; it takes root")?;
        let this = Self { holder, handle };
        this.ip("link set lo up")?;
        Ok(this)
    }

    /// `program`, to be started in there.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        command
    }

    /// Runs `ip` in there, with arguments that have no spaces.
    pub fn ip(&self, arguments: &str) -> Result<()> {
        let output = self.command().arg("ip").args(arguments.split_whitespace()).output().context("nsenter")?;
        if !output.status.success() {
            bail!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Links interface `name` in here with interface `far_name` in `far`, as if by a cable.
    pub fn link(&self, name: &str, far: &Self, far_name: &str) -> Result<()> {
        self.ip(&format!("link add {name} type veth peer name {far_name} netns {}", far.holder.id()))?;
        self.ip(&format!("link set {name} up"))?;
        far.ip(&format!("link set {far_name} up"))
    }

    /// Does something with this thread in there. Sockets stay in the namespace in which they were made.
    pub fn inside<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let home = File::open(OWN)?;
        enter(&self.handle)?;
        let result = act();
        enter(&home)?;
        result
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

fn enter(space: &File) -> Result<()> {
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
        .context("a network namespace cannot be entered")
}
