// SPDX-License-Identifier: Apache-2.0
// Every wrapper: forced errors, and what it does when it is not disturbed.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

/// How many pages `Wrapper.unmap` has used up.
private let nextUnmapped = Atomic(0)

/// The wrappers that can be made to fail, each as a call that succeeds.
private enum Wrapper: String, CaseIterable, Codable, Sendable {
  case reserve, unmap, protect, giveBack, membarrier, futexWait, futexWake, startThread

  var call: SystemCallSet {
    switch self {
    case .reserve: .reserve
    case .unmap: .unmap
    case .protect: .protect
    case .giveBack: .giveBack
    case .membarrier: .membarrier
    case .futexWait: .futexWait
    case .futexWake: .futexWake
    case .startThread: .startThread
    }
  }

  /// `page` is the first of 64 reserved pages, `word` the address of a mapped word that is 0.
  func run(page: UInt, word: UInt) throws(Errno) {
    switch self {
    case .reserve:
      // Not unmapped again: a call of another kind would count as well. The process ends soon.
      _ = try SystemCall.reserve(bytes: 4096)
    case .unmap:
      // Another page each time: one that is unmapped may be another mapping's already, and a sanitizer's
      // own memory is put there.
      let next = nextUnmapped.add(1, ordering: .relaxed).newValue
      try SystemCall.unmap(at: page + 4096 * UInt(next), bytes: 4096)
    case .protect: try SystemCall.protectReadWrite(at: page, bytes: 4096)
    case .giveBack: try SystemCall.giveBack(at: page, bytes: 4096)
    case .membarrier: try SystemCall.membarrier(.registerPrivateExpeditedRseq)
    case .futexWait:
      do throws(Errno) {
        try SystemCall.futexWait(at: word, expecting: 1)
      } catch {
        // What the kernel itself says here.
        guard error == .resourceTemporarilyUnavailable else { throw error }
      }
    case .futexWake: try SystemCall.futexWake(at: word, count: 1)
    case .startThread: try unsafe SystemCall.startThread({ _ in nil }, argument: 0)
    }
  }

  /// The error of each of four calls in a row.
  func errorsOfFourCalls(page: UInt, word: UInt) -> [Errno?] {
    (0..<4).map { _ in
      do throws(Errno) {
        try run(page: page, word: word)
        return nil
      } catch {
        return error
      }
    }
  }
}

@Suite(.inTurn) struct SystemCallTests {
  @Test(arguments: Wrapper.allCases)
  fileprivate func nthCallFails(_ wrapper: Wrapper) async {
    await #expect(processExitsWith: .success) { [wrapper] in
      let page = try SystemCall.reserve(bytes: 64 * 4096)
      let word = try SystemCall.reserve(bytes: 4096)
      try SystemCall.protectReadWrite(at: word, bytes: 4096)
      let forced = Errno(rawValue: 133)

      #expect(wrapper.errorsOfFourCalls(page: page, word: word) == [nil, nil, nil, nil])
      for nth in 1...4 {
        FaultInjection.failCall(nth, of: wrapper.call, with: forced)
        var expected: [Errno?] = [nil, nil, nil, nil]
        expected[nth - 1] = forced
        #expect(wrapper.errorsOfFourCalls(page: page, word: word) == expected)
        #expect(FaultInjection.end() == 1)

        FaultInjection.failCall(nth, of: wrapper.call, with: forced, repeating: true)
        for later in nth - 1..<4 { expected[later] = forced }
        #expect(wrapper.errorsOfFourCalls(page: page, word: word) == expected)
        #expect(FaultInjection.end() == 5 - nth)
      }
      // Every other kind goes on, and so does everything after the end.
      FaultInjection.failCall(
        1, of: .all.subtracting(wrapper.call), with: forced, repeating: true)
      #expect(wrapper.errorsOfFourCalls(page: page, word: word) == [nil, nil, nil, nil])
      #expect(FaultInjection.end() == 0)
      #expect(wrapper.errorsOfFourCalls(page: page, word: word) == [nil, nil, nil, nil])
    }
  }

  @Test func otherThreadsGoOn() async {
    await #expect(processExitsWith: .success) {
      let failures = SharedValue()
      FaultInjection.failCall(1, of: .reserve, with: .noMemory, repeating: true)
      onThreads(1) { _ in
        if (try? SystemCall.reserve(bytes: 4096)) == nil {
          failures.value.add(1, ordering: .relaxed)
        }
      }
      #expect(failures.value.load(ordering: .relaxed) == 0)
      #expect(FaultInjection.end() == 0)
    }
  }

  @Test func memoryIsReservedUsedAndGivenBack() throws {
    let bytes = 16 * 4096
    let start = try SystemCall.reserve(bytes: bytes)
    #expect(start & 4095 == 0)
    try SystemCall.protectReadWrite(at: start + 4096, bytes: 4096)
    let words = Words(at: start + 4096)
    #expect(words[0] == 0)
    words[0] = 7
    words[511] = 8
    #expect(words[0] == 7)
    try SystemCall.giveBack(at: start + 4096, bytes: 4096)
    #expect(words[0] == 0)
    #expect(words[511] == 0)
    try SystemCall.unmap(at: start, bytes: bytes)
  }

  @Test func errorsOfTheKernelComeThrough() throws {
    #expect(throws: Errno.invalidArgument) { try SystemCall.unmap(at: 1, bytes: 4096) }
    #expect(throws: Errno.noMemory) { try SystemCall.protectReadWrite(at: 1, bytes: 4096) }
    #expect(throws: Errno.invalidArgument) { try SystemCall.giveBack(at: 1, bytes: 4096) }
    #expect(throws: Errno.noMemory) { try SystemCall.reserve(bytes: 1 << 60) }
    #expect(throws: Errno.invalidArgument) { try SystemCall.reserve(bytes: 0) }

    let word = try SystemCall.reserve(bytes: 4096)
    defer { try? SystemCall.unmap(at: word, bytes: 4096) }
    try SystemCall.protectReadWrite(at: word, bytes: 4096)
    #expect(throws: Errno.resourceTemporarilyUnavailable) {
      try SystemCall.futexWait(at: word, expecting: 1)
    }
    #expect(throws: Errno.timedOut) {
      try SystemCall.futexWait(at: word, expecting: 0, nanoseconds: 1_000_000)
    }
    try SystemCall.futexWake(at: word, count: 1)
  }

  @Test func startedThreadGetsItsArgument() throws {
    let word = try SystemCall.reserve(bytes: 4096)
    try SystemCall.protectReadWrite(at: word, bytes: 4096)
    // Never unmapped: the thread may still be on its way out of `signal`.
    try unsafe SystemCall.startThread(
      { argument in
        let address = UInt(bitPattern: argument)
        AtomicWord(at: address).store(42)
        try? SystemCall.futexWake(at: address, count: 1)
        return nil
      }, argument: word)
    while AtomicWord(at: word).load() != 42 {
      try? SystemCall.futexWait(at: word, expecting: 0, nanoseconds: 100_000_000)
    }
    #expect(AtomicWord(at: word).load() == 42)
  }
}
