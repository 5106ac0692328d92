// SPDX-License-Identifier: Apache-2.0
// Charges beyond `max`, of groups whose policy is `overcharge`.
//
// The policy is that of the group that allocates, whichever group above has no room: whether a refusal can be borne
// is known to the code that allocates, and not to a limit (the kernel's __GFP_NOFAIL goes over all of them, too). What
// a limit has to say for itself is its `stop`: no charge goes over that one. From halfway between the two, those of
// blocks and large objects are refused: one that asks for much can mostly bear a refusal, and leaves the rest to the
// small ones, which mostly cannot.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  package var policy: LimitPolicy {
    pointee.overcharges.load(ordering: .relaxed) ? .overcharge : .fail
  }

  /// Up to how many bytes a charge of a group that overcharges may lead in this one.
  func limitOfOvercharge(forBytes bytes: Int) -> Int {
    let stop = pointee.stop.load(ordering: .relaxed)
    guard stop != Group.unlimited else { return stop }
    let most = pointee.max.load(ordering: .relaxed)
    guard stop > most else { return most }
    return bytes > SizeClasses.largestSmall ? most + (stop - most) / 2 : stop
  }
}
