/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The entries for XDP: in the driver, or generic, behind it. The tc entry sits behind them and takes what they pass on, so they
 * take only what they can send themselves, and count nothing that passes: the other entry does.
 *
 * XDP does not know what the kernel knows of a packet: whether its checksum is still to be finished, whether several datagrams
 * were merged into it. Both show in the checksum: it is that of the pseudo-header alone. Such packets pass on, as do those without
 * a checksum. All others are whole, so the headers may move: the payload stays where it is. */
#include "decide.h"

struct ethernet {
	u8 macs[2 * MAC_LEN];
	be16 kind;
	be16 vlan; /* the tag, if kind says so */
	be16 vlan_kind;
};

/* Sums up addresses, ports and lengths as the checksum covers them. An IPv4 address is followed by zeros, which add nothing. */
struct covered {
	u32 addresses[8];
	be16 ports[2];
	be16 lens[2]; /* of the pseudo-header, and of the header */
	struct channel channel;
};

/* Reads the headers. FORWARD, or anything else for what passes on. */
INLINE s64 read_frame(struct xdp_md *xdp, struct packet *p, struct arrival *by)
{
	struct ethernet ethernet;
	u32 at = ETH_LEN;
	if (xdp_load(xdp, 0, &ethernet, sizeof(ethernet)))
		return PASSED_FORM;
	be16 kind = ethernet.kind;
	by->iif = xdp->ingress_ifindex;
	if (kind == PROTO_VLAN) {
		/* The priority goes with the tag. */
		struct vlan vlan = {.device = xdp->ingress_ifindex, .id = SWAP16(ethernet.vlan) & 0xfff};
		u32 *interface = map_lookup(&interface_of_vlan, &vlan);
		if (!interface)
			return PASSED_WAY;
		by->iif = *interface;
		kind = ethernet.vlan_kind;
		at += VLAN_LEN;
	}
	if (kind == PROTO_IPV4) {
		struct {
			struct ipv4 ip;
			struct udp udp;
		} head;
		if (xdp_load(xdp, at, &head, sizeof(head)) || !read_ipv4(p, &head.ip, &head.udp))
			return PASSED_FORM;
	} else if (kind == PROTO_IPV6) {
		struct {
			struct ipv6 ip;
			struct udp udp;
		} head;
		if (xdp_load(xdp, at, &head, sizeof(head)) || !read_ipv6(p, &head.ip, &head.udp))
			return PASSED_FORM;
	} else {
		return PASSED_FORM;
	}
	p->payload_at += at - ETH_LEN;
	/* Short frames are padded; nothing may be missing. */
	if (xdp_len(xdp) < p->payload_at + p->udp_len - UDP_LEN)
		return PASSED_FORM;
	if (p->udp_len > UDP_LEN + PAYLOAD_MAX)
		return PASSED_SIZE;
	if (p->udp_len >= UDP_LEN + CHANNEL_LEN && xdp_load(xdp, p->payload_at, &p->channel, CHANNEL_LEN))
		return PASSED_FORM;
	return FORWARD;
}

INLINE int is_finished(const struct packet *p)
{
	struct covered pseudo = {};
	copy_address(pseudo.addresses, p->src);
	copy_address(pseudo.addresses + 4, p->dst);
	pseudo.lens[0] = p->udp.len;
	pseudo.lens[1] = SWAP16(UDP);
	u16 sum = ~fold((u32)csum_diff(0, 0, &pseudo, sizeof(pseudo), 0));
	return p->udp.check && p->udp.check != sum;
}

OWN_STACK int xdp_can_send(struct xdp_md *xdp, const struct packet *p, struct out *out, enum entry entry)
{
	struct fib fib = {};
	u32 oif = out->oif;
	if (oif == LOOPBACK_IFINDEX || !is_finished(p))
		return 0;
	struct vlan *vlan = map_lookup(&vlan_of_interface, &oif);
	out->device = vlan ? vlan->device : oif;
	out->vlan = vlan ? vlan->id : 0;
	/* A driver that takes no frames would lose it: with veth, where the far end has neither XDP nor GRO. */
	if (entry == AT_XDP_DRIVER && !out->takes_frames)
		return 0;
	if (without_neighbours)
		return !xdp_load(xdp, 0, out->macs, sizeof(out->macs));
	fib.family = out->family == 4 ? FAMILY_IPV4 : FAMILY_IPV6;
	fib.protocol = UDP;
	fib.sport = out->sport;
	fib.dport = out->dport;
	/* As if this host had said it, which is how the process sends: only the loopback need be allowed to forward. */
	fib.ifindex = LOOPBACK_IFINDEX;
	copy_address(fib.src, out->src);
	copy_address(fib.dst, out->dst);
	if (fib_lookup(xdp, &fib, sizeof(fib), 0) || fib.ifindex != oif)
		return 0;
	__builtin_memcpy(out->macs, fib.destination_mac, MAC_LEN);
	__builtin_memcpy(out->macs + MAC_LEN, fib.source_mac, MAC_LEN);
	return 1;
}

/* The checksum by what changed: a wrong one stays wrong. */
OWN_STACK u16 checksum_after(const struct packet *p, const struct out *out, u32 udp_len)
{
	struct covered before = {}, after = {};
	copy_address(before.addresses, p->src);
	copy_address(before.addresses + 4, p->dst);
	before.ports[0] = p->udp.src;
	before.ports[1] = p->udp.dst;
	before.lens[0] = p->udp.len;
	before.lens[1] = p->udp.len;
	if (out->strip)
		before.channel = p->channel;
	copy_address(after.addresses, out->src);
	copy_address(after.addresses + 4, out->dst);
	after.ports[0] = out->sport;
	after.ports[1] = out->dport;
	after.lens[0] = SWAP16(udp_len);
	after.lens[1] = SWAP16(udp_len);
	after.channel = out->channel;
	u16 check = fold((u32)csum_diff(&before, sizeof(before), &after, sizeof(after), (u16)~p->udp.check));
	return check ? check : 0xffff;
}

/* The Ethernet header and the IP header; where the UDP header begins, or 0. */
OWN_STACK u32 write_outer(struct xdp_md *xdp, const struct packet *p, const struct out *out, u32 udp_len)
{
	struct ethernet ethernet = {};
	be16 kind = out->family == 4 ? PROTO_IPV4 : PROTO_IPV6;
	u32 at = ETH_LEN;
	__builtin_memcpy(ethernet.macs, out->macs, sizeof(ethernet.macs));
	ethernet.kind = kind;
	if (out->vlan) {
		ethernet.kind = PROTO_VLAN;
		ethernet.vlan = SWAP16(out->vlan);
		ethernet.vlan_kind = kind;
		at += VLAN_LEN;
	}
	/* Without a tag, what is behind is written over next. */
	if (xdp_store(xdp, 0, &ethernet, sizeof(ethernet)))
		return 0;
	if (out->family == 4) {
		struct ipv4 ip;
		write_ipv4(&ip, p, out, udp_len);
		return xdp_store(xdp, at, &ip, sizeof(ip)) ? 0 : at + sizeof(ip);
	}
	struct ipv6 ip;
	write_ipv6(&ip, p, out, udp_len);
	return xdp_store(xdp, at, &ip, sizeof(ip)) ? 0 : at + sizeof(ip);
}

/* Makes room for the new headers, or less of it, and writes them. */
OWN_STACK int rewrite(struct xdp_md *xdp, const struct packet *p, const struct out *out, u32 udp_len)
{
	u32 channel = out->channel.number ? CHANNEL_LEN : 0;
	u32 head = ETH_LEN + (out->vlan ? VLAN_LEN : 0) + ip_len(out->family) + UDP_LEN + channel;
	u32 padding = xdp_len(xdp) - p->payload_at - out->strip - out->data_len;
	struct udp udp = {out->sport, out->dport, SWAP16(udp_len), checksum_after(p, out, udp_len)};

	if (padding && xdp_adjust_tail(xdp, -(int)padding))
		return 0;
	if (xdp_adjust_head(xdp, (int)(p->payload_at + out->strip - head)))
		return 0;
	u32 at = write_outer(xdp, p, out, udp_len);
	if (!at || xdp_store(xdp, at, &udp, sizeof(udp)))
		return 0;
	return !channel || !xdp_store(xdp, at + UDP_LEN, &out->channel, CHANNEL_LEN);
}

INLINE int at_xdp(struct xdp_md *xdp, enum entry entry)
{
	struct packet p = {};
	struct out out = {};
	struct arrival by = {.context = xdp, .entry = entry};
	u64 done = 0;

	if (read_frame(xdp, &p, &by) != FORWARD)
		return XDP_PASS;
	s64 outcome = decide(&p, &out, &by, &done);
	if (outcome != FORWARD)
		return outcome >= DROPPED_RATE ? count(outcome, XDP_DROP) : XDP_PASS;
	if (!rewrite(xdp, &p, &out, UDP_LEN + out.data_len + (out.channel.number ? CHANNEL_LEN : 0)))
		return count(DROPPED_FAILED, XDP_DROP);
	count(BY_XDP, 0);
	/* Back by the same device, too: what XDP_TX needs, no driver tells; a veth would keep the frame. */
	return count(done, redirect(out.device, 0));
}

SEC("xdp")
int causeway_xdp(struct xdp_md *xdp)
{
	return at_xdp(xdp, AT_XDP_DRIVER);
}

SEC("xdp")
int causeway_xdp_generic(struct xdp_md *xdp)
{
	return at_xdp(xdp, AT_XDP_GENERIC);
}
