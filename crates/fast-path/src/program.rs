//! Loading the programs and putting them at interfaces.

use std::ops::RangeInclusive;

use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, Map, MapData, PerCpuArray},
    programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode, links::FdLink, tc::TcAttachOptions},
};
use causeway_net_io::SharedMemory;

use crate::{
    layout::{FLOW_WORDS, FlowKey, RATE_WORDS},
    routes::{Link, Vlan},
    site::{Entry, Held, Site},
    table::Unavailable,
};

/// The compiled programs; empty when the build had no clang.
static ENTRIES: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/entries.o"));

/// What became of a packet that might have been ours, in the order of `enum outcome` in `bpf/flow.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// From a client to a peer.
    ForwardedUp,
    /// From a peer to a client.
    ForwardedDown,
    /// From a client to another allocation's client.
    ForwardedBetween,
    /// Passed up: a fragment, IP options, lengths that do not match, or the last hop.
    PassedForm,
    /// Passed up: no such flow.
    PassedUnknown,
    /// Passed up: the flow is over.
    PassedExpired,
    /// Passed up: nothing came from the client so far.
    PassedUnconfirmed,
    /// Passed up: the first of its direction, which the process tells of.
    PassedFirst,
    /// Passed up: several datagrams in one buffer, which user space handles at once.
    PassedMerged,
    /// Passed up: larger than the way out takes.
    PassedSize,
    /// Passed up: no way out, or in by another way than answers would take.
    PassedWay,
    /// Dropped: over a bandwidth limit.
    DroppedRate,
    /// Dropped: the kernel could not change the packet.
    DroppedFailed,
}

/// Every outcome with its name in metrics.
pub const OUTCOMES: [(Outcome, &str); 13] = [
    (Outcome::ForwardedUp, "forwarded_up"),
    (Outcome::ForwardedDown, "forwarded_down"),
    (Outcome::ForwardedBetween, "forwarded_between"),
    (Outcome::PassedForm, "passed_form"),
    (Outcome::PassedUnknown, "passed_unknown"),
    (Outcome::PassedExpired, "passed_expired"),
    (Outcome::PassedUnconfirmed, "passed_unconfirmed"),
    (Outcome::PassedFirst, "passed_first"),
    (Outcome::PassedMerged, "passed_merged"),
    (Outcome::PassedSize, "passed_size"),
    (Outcome::PassedWay, "passed_way"),
    (Outcome::DroppedRate, "dropped_rate"),
    (Outcome::DroppedFailed, "dropped_failed"),
];

/// Follows the outcomes: packets among those forwarded that XDP took.
const BY_XDP: u32 = Outcome::DroppedFailed as u32 + 1;

/// The loaded programs with their maps.
pub(crate) struct Program {
    ebpf: Ebpf,
    held: Vec<Held>,
    /// Why XDP is not loaded, though it was wanted.
    without_xdp: Option<Unavailable>,
    pub(crate) up: HashMap<MapData, FlowKey, u32>,
    pub(crate) down: HashMap<MapData, FlowKey, u32>,
    outcomes: PerCpuArray<MapData, u64>,
    interface_of_vlan: HashMap<MapData, [u32; 2], u32>,
    vlan_of_interface: HashMap<MapData, u32, [u32; 2]>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("held", &self.held).finish_non_exhaustive()
    }
}

/// What a program is loaded with.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) flows_max: u32,
    pub(crate) relay_ports: RangeInclusive<u16>,
    pub(crate) with_xdp: bool,
    /// For tests: frames keep their Ethernet addresses.
    pub(crate) without_neighbours: bool,
}

impl Program {
    /// Loads what is wanted; the maps take their memory now.
    pub(crate) fn load(size: &Size) -> Result<(Self, SharedMemory, SharedMemory), Unavailable> {
        if ENTRIES.is_empty() {
            return Err(Unavailable::NotBuilt);
        }
        let (first, last) = (*size.relay_ports.start(), *size.relay_ports.end());
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .map_max_entries("up", size.flows_max)
            .map_max_entries("down", size.flows_max)
            .map_max_entries("flows", size.flows_max)
            .map_max_entries("rates", size.flows_max)
            .override_global("relay_port_first", &first, true)
            .override_global("relay_port_last", &last, true)
            .override_global("without_neighbours", &u8::from(size.without_neighbours), true)
            .load(ENTRIES)
            .map_err(refused)?;
        // Before the maps are taken out: the program names them by the descriptors that they have in there.
        classifier(&mut ebpf)?.load().map_err(refused)?;
        let mut without_xdp = None;
        if size.with_xdp {
            for entry in [Entry::XdpDriver, Entry::XdpGeneric] {
                // tc does its work where the kernel does not take it.
                if let Err(error) = xdp(&mut ebpf, entry)?.load() {
                    without_xdp = Some(refused(error));
                }
            }
        }
        let flows = shared(&mut ebpf, "flows", FLOW_WORDS * size.flows_max as usize)?;
        let rates = shared(&mut ebpf, "rates", RATE_WORDS * size.flows_max as usize)?;
        let up = HashMap::try_from(take(&mut ebpf, "up")?).map_err(refused)?;
        let down = HashMap::try_from(take(&mut ebpf, "down")?).map_err(refused)?;
        let outcomes = PerCpuArray::try_from(take(&mut ebpf, "outcomes")?).map_err(refused)?;
        let interface_of_vlan = HashMap::try_from(take(&mut ebpf, "interface_of_vlan")?).map_err(refused)?;
        let vlan_of_interface = HashMap::try_from(take(&mut ebpf, "vlan_of_interface")?).map_err(refused)?;
        let held = Vec::new();
        let loaded = Self { ebpf, held, without_xdp, up, down, outcomes, interface_of_vlan, vlan_of_interface };
        Ok((loaded, flows, rates))
    }

    /// Puts the classifier at the ingress of `interface`, behind what is there. The link is a descriptor: it ends with the
    /// process.
    pub(crate) fn attach(&mut self, interface: &str) -> Result<(), Unavailable> {
        let options = TcAttachOptions::TcxOrder(LinkOrder::last());
        let program = classifier(&mut self.ebpf)?;
        let id = program.attach_with_options(interface, TcAttachType::Ingress, options).map_err(refused)?;
        let link = FdLink::try_from(program.take_link(id).map_err(refused)?).map_err(refused)?;
        self.held.push(Held::new(interface.to_owned(), Entry::Tc, link));
        Ok(())
    }

    /// Puts XDP before it: in the driver, or else behind that. A VLAN's packets are seen at its device.
    pub(crate) fn attach_xdp(&mut self, interface: &str, link: &Link) -> Result<(), Unavailable> {
        if let Some(error) = &self.without_xdp {
            return Err(error.clone());
        }
        let at = format!("{interface}{}", if link.vlan.is_some() { "'s device" } else { "" });
        let index = match link.vlan {
            Some(vlan) => {
                self.know_vlan(link.index, vlan)?;
                vlan.device
            }
            None => link.index,
        };
        let mut last = Unavailable::NotBuilt;
        for (entry, mode) in [(Entry::XdpDriver, XdpMode::Driver), (Entry::XdpGeneric, XdpMode::Skb)] {
            let program = xdp(&mut self.ebpf, entry)?;
            match program.attach_to_if_index(index, mode) {
                Ok(id) => {
                    let link = FdLink::try_from(program.take_link(id).map_err(refused)?).map_err(refused)?;
                    self.held.push(Held::new(at, entry, link));
                    return Ok(());
                }
                Err(error) => last = refused(error),
            }
        }
        Err(last)
    }

    pub(crate) fn know_vlan(&mut self, interface: u32, vlan: Vlan) -> Result<(), Unavailable> {
        let there = [vlan.device, u32::from(vlan.id)];
        self.interface_of_vlan.insert(there, interface, 0).map_err(refused)?;
        self.vlan_of_interface.insert(interface, there, 0).map_err(refused)
    }

    /// Where the programs sit.
    pub(crate) fn sites(&self) -> Vec<Site> {
        self.held.iter().map(Held::site).collect()
    }

    /// Packets that XDP forwarded.
    pub(crate) fn by_xdp(&self) -> u64 {
        self.count_at(BY_XDP)
    }

    /// How many packets met this outcome, on all processors.
    pub(crate) fn outcome(&self, outcome: Outcome) -> u64 {
        self.count_at(outcome as u32)
    }

    fn count_at(&self, index: u32) -> u64 {
        self.outcomes.get(&index, 0).map_or(0, |counts| counts.iter().sum())
    }

    #[cfg(test)]
    pub(crate) fn test_run(
        &mut self,
        entry: Entry,
        packet: &[u8],
        room: &mut [u8],
    ) -> Result<(i32, usize), Unavailable> {
        use aya::programs::{TestRun as _, TestRunOptions};
        let mut options = TestRunOptions::new();
        options.data_in = Some(packet);
        options.data_out = Some(room);
        let result = match entry {
            Entry::Tc => classifier(&mut self.ebpf)?.test_run(options),
            Entry::XdpDriver | Entry::XdpGeneric => xdp(&mut self.ebpf, entry)?.test_run(options),
        };
        let result = result.map_err(refused)?;
        Ok((i32::from_ne_bytes(result.return_value.to_ne_bytes()), result.data_size_out as usize))
    }
}

fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, Unavailable> {
    let program = ebpf.program_mut("causeway_tc").ok_or(Unavailable::NotBuilt)?;
    program.try_into().map_err(refused)
}

fn xdp(ebpf: &mut Ebpf, entry: Entry) -> Result<&mut Xdp, Unavailable> {
    let name = match entry {
        Entry::XdpDriver => "causeway_xdp",
        Entry::Tc | Entry::XdpGeneric => "causeway_xdp_generic",
    };
    ebpf.program_mut(name).ok_or(Unavailable::NotBuilt)?.try_into().map_err(refused)
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, Unavailable> {
    ebpf.take_map(name).ok_or(Unavailable::NotBuilt)
}

fn shared(ebpf: &mut Ebpf, name: &'static str, words: usize) -> Result<SharedMemory, Unavailable> {
    let Map::Array(data) = take(ebpf, name)? else { return Err(Unavailable::NotBuilt) };
    SharedMemory::map(data.fd(), words).map_err(refused)
}

/// With every cause, the kernel's own word last. A verifier's log is long; its last line tells.
fn refused(error: impl std::error::Error + 'static) -> Unavailable {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    Unavailable::Refused(in_one_line(&text))
}

/// The first line, and of the verifier's long log the line that says what it does not like.
fn in_one_line(text: &str) -> String {
    let is_figure =
        |line: &&str| ["processed ", "verification time", "stack depth", ": "].iter().any(|f| line.starts_with(f));
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_figure(line));
    let (first, last) = (lines.next().unwrap_or_default(), lines.next_back());
    let short = |line: &str| line.chars().take(200).collect::<String>();
    last.map_or_else(|| short(first), |last| format!("{} … {}", short(first), short(last)))
}

#[cfg(test)]
mod tests {
    use super::in_one_line;

    #[test]
    fn a_verifiers_log_is_told_in_one_line() {
        let log = "BPF_PROG_LOAD failed. Verifier output: 0: R1=ctx()\n1: (b7) r0 = 0\nattempt to corrupt spilled pointer on stack\n\
                   verification time 3332 usec\nstack depth 288\nprocessed 1095 insns\n: Permission denied (os error 13)";
        let told = in_one_line(log);
        assert_eq!(
            told,
            "BPF_PROG_LOAD failed. Verifier output: 0: R1=ctx() … attempt to corrupt spilled pointer on stack"
        );
        assert_eq!(in_one_line("not permitted"), "not permitted");
    }
}
