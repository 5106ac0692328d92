// SPDX-License-Identifier: Apache-2.0
// What a recording holds, counted while it is lived: once, however many copies are made.

/// Counts of one recording.
struct RecordingCounts: Equatable {
  /// Lines of text, comments among them.
  var lines = 0
  /// Events of every name.
  var events = 0
  /// What was out of the ordinary; see ``Irregularity``.
  var irregularities = IrregularityCounts()
  /// Nil if no line tells.
  var format: RecordingFormat?
  /// The cgroup hierarchy whose groups are lived.
  var hierarchy: UInt64?
  /// Events that were lost, as far as their number was printed.
  var lostEvents = 0
  /// Events that may be allocations by their names, and are not read.
  var unreadAllocations = EventTally()
  /// Lines of allocations, understood or not, and those that were not.
  var allocationLines = 0
  var malformedAllocations = 0

  var groups = 0
  var offlined = 0
  /// Groups that are offline and hold neither an object nor a group that does.
  var groupsGone = 0
  var rootCaches = 0
  /// Root caches whose name is that of a free, and of which only the size is known.
  var cachesNamedByFree = 0
  var cachesNamedBySize = 0
  /// Pairs of a group and a cache that held an object.
  var childCaches = 0
  /// Child caches without an object whose group is offline.
  var childCachesGone = 0
  /// Child caches that hold an object although their group is offline.
  var pinnedChildCaches = 0

  var allocations = 0
  var charged = 0
  /// Traced frees of live objects.
  var frees = 0
  /// Frees that were not traced, known by the address being allocated again.
  var implicitFrees = 0
  /// Traced frees of addresses that hold no object.
  var unmatchedFrees = 0
  /// Frees of no object: `kfree(NULL)`.
  var nullFrees = 0
  /// Traced and implicit frees of charged objects.
  var chargedFrees = 0
  /// Traced frees of charged objects whose group was offline.
  var chargedFreesAfterOffline = 0
  var live = 0
  /// The most objects that lived at one time.
  var livePeak = 0
  /// All bits that are set in an address of an object.
  var addressBits: UInt64 = 0
  var chargedLive = 0

  /// Whether addresses are hashes of 32 bits, which the kernel prints in their place by default.
  var areAddressesHashed: Bool { allocations > 0 && addressBits >> 32 == 0 }
  /// How many pairs of the objects that lived at one time may be expected to have one hash.
  var expectedCollisions: Double {
    let objects = Double(livePeak)
    return areAddressesHashed ? objects * (objects - 1) / 2 / 4_294_967_296 : 0
  }

  /// Groups that are offline but held by live objects, their own or those of groups below.
  var pinnedGroups: Int { offlined - groupsGone }
  /// Child caches that hold an object, or whose group is online.
  var childCachesLive: Int { childCaches - childCachesGone }
}
