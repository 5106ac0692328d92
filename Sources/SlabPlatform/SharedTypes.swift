// SPDX-License-Identifier: Apache-2.0
// The values that all layers share, down from the public interface.
@_exported public import SlabTypes
