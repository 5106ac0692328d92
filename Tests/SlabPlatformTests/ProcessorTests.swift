// SPDX-License-Identifier: Apache-2.0
// How many CPUs there can be, where /sys and /proc say so, where they do not, and where nobody does.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct ProcessorTests {
  @Test func boundIsAboveEveryCPUOfThisThread() throws {
    let bound = try SystemCall.processorBound()
    #expect(currentCPU() < bound)
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
  @Test func everyCPUHasItsStripeWithoutTheFiles() async {
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
          let flushed = try fixture.closeAndFlush(ofClass: 0)
          #expect(flushed.sorted() == cpus.map { UInt($0 + 1) * 8 })
        }
      }
    }
  }

  @Test func withoutAnyWordThereAreLockedStripes() async {
    await #expect(processExitsWith: .success) {
      _ = try PerCPUMode.choose()
      FaultInjection.failCall(1, of: .affinity, with: .noFunction)
      let region = try PerCPURegion(mode: .restartableSequences)
      #expect(FaultInjection.end() == 1)
      #expect(region.mode == .lockedStripes)
      region.unmap()
    }
  }

  /// As on a larger machine: never fewer than there can be, and each CPU has its stripe.
  @Test func asManyAsTheEnvironmentSays() async {
    await #expect(processExitsWith: .success) {
      let mode = try PerCPUMode.choose().mode
      let known = try SystemCall.processorBound()
      unsafe setenv("SLAB_CPUS", "1", 1)
      #expect(try SystemCall.processorBound() == known)
      unsafe setenv("SLAB_CPUS", "8192", 1)
      #expect(try SystemCall.processorBound() == 8192)
      try withRegion(mode) { fixture in
        _ = try fixture.open(ofClass: 0)
        #expect(fixture.push(8) == .done)
        #expect(try fixture.closeAndFlush(ofClass: 0) == [8])
      }
    }
  }

  @Test(arguments: ["", "0", "8193", "-1", "64 ", "many", "18446744073709551680"])
  func aNumberOfCPUsThatIsNone(text: String) async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) { [text] in
      _ = signal(SIGABRT, SIG_DFL)
      unsafe setenv("SLAB_CPUS", text, 1)
      _ = try SystemCall.processorBound()
    }
    let line = "slab: SLAB_CPUS must be a number from 1 to 8192\n"
    #expect(try #require(result).standardErrorContent == Array(line.utf8))
  }

  /// A container's list of its CPUs says too little: only the kernel's own file system is believed.
  @Test(.enabled(if: geteuid() == 0, "chroot is root's"))
  func aListThatIsNotTheKernels() async {
    await #expect(processExitsWith: .success) {
      var path = Array("/tmp/slab-other-root-XXXXXX".utf8CString)
      let outside = unsafe open("/", O_RDONLY)
      let isMade = unsafe mkdtemp(&path) != nil && chroot(path) == 0 && chdir("/") == 0
      try #require(isMade)
      let folders = ["sys", "sys/devices", "sys/devices/system", "sys/devices/system/cpu"]
      let list = "sys/devices/system/cpu/possible"
      for folder in folders { #expect(unsafe mkdir(folder, 0o700) == 0) }
      let file = unsafe open(list, O_CREAT | O_WRONLY, 0o600)
      // What the thread itself contradicts would not be believed anyway.
      let text = "0-\(allowedCPUs().last! + 1)\n"
      #expect(unsafe write(file, text, text.utf8.count) == text.utf8.count)
      // In whole words: the size of the kernel's mask.
      #expect(try SystemCall.processorBound() % 64 == 0)
      _ = unsafe (close(file), unlink(list))
      for folder in folders.reversed() { #expect(unsafe rmdir(folder) == 0) }
      fchdir(outside)
      _ = unsafe (chroot("."), rmdir(path))
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
      let mode = try PerCPUMode.choose().mode
      try onOneCPU(cpus.last) {
        #expect(try SystemCall.processorBound() > cpus.last!)
        try withRegion(mode) { fixture in
          _ = try fixture.open(ofClass: 0)
          for cpu in cpus {
            onOneCPU(cpu) { #expect(fixture.push(UInt(cpu + 1) * 8) == .done) }
          }
          #expect(try fixture.closeAndFlush(ofClass: 0).count == cpus.count)
        }
      }
    }
  }
}
