// SPDX-License-Identifier: Apache-2.0
// The allocator that `malloc` is: the shared one of the process, so that what is allocated through the library's
// other interfaces, and what is freed by its address, is of the same one.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

internal import CSlabMalloc
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_malloc_core_start(_ max: Int) -> CInt {
  var configuration = AllocatorConfiguration()
  configuration.servesMalloc = true
  do throws(AllocatorError) {
    let (allocator, _) = try SharedHeap.makeAllocator(configuration)
    guard hasTheSameClasses(allocator),
      Pointer<Group>.mallocChildrenCount == 1 + slab_malloc_class_count,
      allocator.rootGroup.mallocChildrenOffset == UInt(slab_malloc_children_offset)
    else { fatal("malloc: unexpected layout of a group or of the size classes") }
    var group = allocator.rootGroup
    if max > 0 {
      let name: InlineArray<6, UInt8> = [0x6d, 0x61, 0x6c, 0x6c, 0x6f, 0x63]  // malloc
      group = try allocator.makeGroup(named: name.span, max: max)
    }
    slab_malloc_set_process_group(group.address)
    #if !hasFeature(Embedded)
      // Swift's runtime ends the process where it gets no memory: so groups overcharge unless told otherwise. The
      // process's own, whose limit was asked for from outside, was made before.
      allocator.setPolicyOfNewGroups(.overcharge)
      #if DEBUG
        rehearse(allocator)
      #endif
    #endif
    return 0
  } catch {
    return error.errorNumber
  }
}

/// Fills the classes of sizes. Whether the front's bounds are those of the size classes.
private func hasTheSameClasses(_ allocator: Allocator) -> Bool {
  let count = slab_malloc_class_count
  let steps = slab_malloc_largest_step
  let shift = slab_malloc_step_shift
  guard Allocator.bytes(ofSizeClass: count - 1) == steps << shift else { return false }
  for step in 0...steps {
    slab_malloc_set_class(step, allocator.sizeClass(forBytes: step << shift))
  }
  return true
}

extension AllocatorError {
  /// What C calls it: a positive error number.
  var errorNumber: CInt {
    switch self {
    case .invalidAlignment, .invalidSetting, .unknownPerCPUMode: EINVAL
    case .restartableSequencesUnavailable, .unsupportedPageSize: ENOTSUP
    default: ENOMEM
    }
  }
}
