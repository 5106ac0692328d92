// How many CPUs there can be, where /sys and /proc say so, where they do not, and where nobody does.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct ProcessorTests {
  @Test func boundIsAboveEveryCPUOfThisThread() throws {
    let bound = try SystemCall.processorBound()
    #expect(try SystemCall.currentCPU() < bound)
    #expect(try #require(allowedCPUs().last) < bound)
  }

  /// The list, then the mask's digits, then the mask's size: each is no less than the one before.
  @Test func lessIsKnownWithoutTheFiles() async {
    await #expect(processExitsWith: .success) {
      let listed = try SystemCall.processorBound()
      FaultInjection.failCall(1, of: .processorList, with: .noFunction)
      let shown = try SystemCall.processorBound()
      #expect(FaultInjection.end() == 1)
      FaultInjection.failCall(1, of: .processorList, with: .noFunction, repeating: true)
      let masked = try SystemCall.processorBound()
      #expect(FaultInjection.end() == 2)
      #expect(listed <= shown && shown <= masked)
      #expect(masked % 64 == 0)
    }
  }

  /// A thread that may only run on the last CPU, and nothing that says how many there are: the affinity
  /// mask's count, 1, would put it behind the region.
  @Test func everyCPUHasItsSlotWithoutTheFiles() async {
    await #expect(processExitsWith: .success) {
      let cpus = allowedCPUs()
      _ = try PerCPUMode.choose()
      try onOneCPU(cpus.last) {
        FaultInjection.failCall(1, of: .processorList, with: .noFunction, repeating: true)
        try withRegion(.restartableSequences) { fixture in
          _ = FaultInjection.end()
          _ = try fixture.open(ofClass: 0)
          for cpu in cpus {
            onOneCPU(cpu) { #expect(fixture.push(UInt(cpu + 1) * 8) == .done) }
          }
          let drained = try fixture.closeAndDrain(ofClass: 0)
          #expect(drained.sorted() == cpus.map { UInt($0 + 1) * 8 })
        }
      }
    }
  }

  @Test func withoutAnyWordThereAreLockedSlots() async {
    await #expect(processExitsWith: .success) {
      _ = try PerCPUMode.choose()
      FaultInjection.failCall(1, of: .affinity, with: .noFunction)
      let region = try PerCPURegion(mode: .restartableSequences)
      #expect(FaultInjection.end() == 1)
      #expect(region.mode == .lockedSlots)
      region.unmap()
    }
  }

  /// The real thing: in an empty root there is neither file. Only root may go there.
  @Test(.enabled(if: geteuid() == 0, "chroot is root's"))
  func emptyRoot() async {
    await #expect(processExitsWith: .success) {
      var path = Array("/tmp/slab-empty-root-XXXXXX".utf8CString)
      let outside = unsafe open("/", O_RDONLY)
      let isMade = unsafe mkdtemp(&path) != nil && chroot(path) == 0
      try #require(isMade)
      // The way out: the descriptor is of a directory above.
      defer {
        fchdir(outside)
        _ = unsafe (chroot("."), rmdir(path))
      }
      let cpus = allowedCPUs()
      // With restartable sequences this also registers the process for the fence.
      let mode = try PerCPUMode.choose()
      try onOneCPU(cpus.last) {
        #expect(try SystemCall.processorBound() > cpus.last!)
        try withRegion(mode) { fixture in
          _ = try fixture.open(ofClass: 0)
          for cpu in cpus {
            onOneCPU(cpu) { #expect(fixture.push(UInt(cpu + 1) * 8) == .done) }
          }
          #expect(try fixture.closeAndDrain(ofClass: 0).count == cpus.count)
        }
      }
    }
  }
}
