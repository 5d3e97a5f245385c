//! What an interface's driver can do with XDP: asked over generic netlink, family `netdev` (Linux 6.3).

use std::io;

use crate::netlink::{Family, Netlink, attribute, half, put};

/// Linux's numbers: the family of families, and in `netdev` the question for a device.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
/// Takes frames that other interfaces redirect to it.
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 1 << 2;
/// Command, version, two bytes reserved.
const GENL_HEADER: usize = 4;

#[derive(Debug)]
pub(crate) struct Features {
    netlink: Netlink,
    family: u16,
}

impl Features {
    /// Opens the conversation; `None` where the kernel does not have it.
    pub(crate) fn open() -> io::Result<Option<Self>> {
        let mut netlink = Netlink::open(Family::Generic)?;
        let mut body = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
        put(&mut body, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
        let answer = netlink.ask(GENL_ID_CTRL, GENL_ID_CTRL, &body)?;
        let family = answer.as_deref().and_then(|answer| attribute(answer.get(GENL_HEADER..)?, CTRL_ATTR_FAMILY_ID));
        Ok(family.and_then(half).map(|family| Self { netlink, family }))
    }

    /// Whether XDP programs of other interfaces may send by this one.
    pub(crate) fn takes_frames(&mut self, interface: u32) -> io::Result<bool> {
        let mut body = vec![NETDEV_CMD_DEV_GET, 1, 0, 0];
        put(&mut body, NETDEV_A_DEV_IFINDEX, &interface.to_ne_bytes());
        let answer = self.netlink.ask(self.family, self.family, &body)?;
        let features = answer.as_deref().and_then(|answer| {
            let value = attribute(answer.get(GENL_HEADER..)?, NETDEV_A_DEV_XDP_FEATURES)?;
            Some(u64::from_ne_bytes(value.try_into().ok()?))
        });
        Ok(features.is_some_and(|features| features & NETDEV_XDP_ACT_NDO_XMIT != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_takes_no_frames_of_xdp() {
        let Some(mut features) = Features::open().expect("generic netlink") else { return };
        assert!(!features.takes_frames(1).expect("an answer"));
        assert!(!features.takes_frames(u32::MAX >> 1).expect("a refusal is an answer"));
    }
}
