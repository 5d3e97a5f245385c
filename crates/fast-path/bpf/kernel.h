/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * What the kernel promises to BPF programs and this one uses: types, helper numbers, the two packet contexts.
 * Written out so that a build needs clang alone. All of it is stable interface. */
#ifndef CAUSEWAY_KERNEL_H
#define CAUSEWAY_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

/* Values in network byte order. */
typedef u16 be16;
typedef u32 be32;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define OWN_STACK static __attribute__((noinline))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SWAP16(x) ((u16)__builtin_bswap16(x))
#else
#define SWAP16(x) ((u16)(x))
#endif

/* Map types and flags. */
#define MAP_HASH 1
#define MAP_ARRAY 2
#define MAP_PERCPU_ARRAY 6
#define MAP_MMAPABLE (1 << 10)

#define NUMBER(name, value) int(*name)[value]

/* Helpers, by number. */
static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static u64 (*clock_ns)(void) = (void *)5;
static long (*skb_store)(void *skb, u32 at, const void *from, u32 len, u64 flags) = (void *)9;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*l4_csum_replace)(void *skb, u32 at, u64 from, u64 to, u64 flags) = (void *)11;
static long (*skb_load)(const void *skb, u32 at, void *to, u32 len) = (void *)26;
static long (*csum_diff)(const void *from, u32 from_len, const void *to, u32 to_len, u32 seed) = (void *)28;
static long (*skb_change_proto)(void *skb, be16 proto, u64 flags) = (void *)31;
static long (*skb_change_tail)(void *skb, u32 len, u64 flags) = (void *)38;
static long (*xdp_adjust_head)(void *xdp, int by) = (void *)44;
static long (*xdp_adjust_tail)(void *xdp, int by) = (void *)65;
static long (*fib_lookup)(void *context, void *fib, int len, u32 flags) = (void *)69;
static long (*redirect_neigh)(u32 ifindex, void *neighbour, int len, u64 flags) = (void *)152;
static u64 (*xdp_len)(void *xdp) = (void *)188;
static long (*xdp_load)(void *xdp, u32 at, void *to, u32 len) = (void *)189;
static long (*xdp_store)(void *xdp, u32 at, const void *from, u32 len) = (void *)190;

#define CSUM_PSEUDO (1 << 4)
#define CSUM_KEEP_ZERO (1 << 5)

/* What a classifier returns. */
#define TC_NEXT (-1)
#define TC_PASS 0
#define TC_DROP 2

/* What an XDP program returns. */
#define XDP_DROP 1
#define XDP_PASS 2

#define LOOPBACK_IFINDEX 1
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

/* Up to the last field that is read. */
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4;
	u32 local_ip4;
	u32 remote_ip6[4];
	u32 local_ip6[4];
	u32 remote_port;
	u32 local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	u64 sk;
	u32 gso_size;
};

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

/* A question to the routing table, and its answer. */
struct fib {
	u8 family;
	u8 protocol;
	be16 sport;
	be16 dport;
	u16 len; /* 0: the size is not looked at */
	u32 ifindex;
	be32 traffic_class;
	u32 src[4];
	u32 dst[4];
	be16 vlan_proto;
	be16 vlan_tag;
	u8 source_mac[6];
	u8 destination_mac[6];
};

#endif
