// SPDX-License-Identifier: Apache-2.0
// Linked with -z initfirst, and preloaded behind the allocator: then this library is the one that begins before all
// others, and handlers of a fork are there before the allocator's.
