# SPDX-License-Identifier: Apache-2.0
# Compiled code, worker threads that come and go, buffers outside of the engine's heap, compression.
packages=(nodejs=node)
work() { node "$programs/node.js"; }
