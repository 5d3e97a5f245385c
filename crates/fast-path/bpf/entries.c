/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Both entries in one object, so that they share their maps. */
#include "tc.c"
#include "xdp.c"

/* bpf_fib_lookup is for programs under the GPL, which these files may be taken under as well. */
char licence[] SEC("license") = "GPL and additional rights";
