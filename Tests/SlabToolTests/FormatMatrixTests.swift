// SPDX-License-Identifier: Apache-2.0
// Every format of every kernel: the same events have the same counts, whatever printed them.

import Foundation
import Slab
import SlabTestSupport
import Testing

@testable import SlabTool

/// Two tenants, one below the other, and a task outside; each count of a recording is above 0.
private let happenings: [Happening] = {
  var list: [Happening] = [
    .mkdir(1, "/jobs dir"), .mkdir(2, "/jobs dir/a"), .attach(7, to: 1), .attach(8, to: 2),
    .fork(8, 9), .other,
  ]
  let caches = [("dentry", 192), ("filp", 256), ("ext4_inode_cache", 1088)]
  func address(_ index: Int) -> UInt64 { 0xffff_8881_0010_0000 + UInt64(index) * 0x40 }
  for index in 0..<60 {
    let (cache, bytes) = caches[index % 3]
    list.append(
      .allocate(
        address(index), cache: cache, bytes: bytes, isCharged: index % 4 != 0,
        task: [7, 8, 9, 3][index / 3 % 4], isOnNode: index % 5 == 0))
    if index % 3 == 0 {
      list.append(
        .kmalloc(
          address(1000 + index), bytes: index % 2 == 0 ? 64 : 1024, isCharged: index % 4 == 0,
          task: 9, isOnNode: index % 5 == 0))
    }
  }
  for index in 0..<20 { list.append(.free(address(index), cache: caches[index % 3].0)) }
  list.append(
    .allocate(
      address(30), cache: "dentry", bytes: 192, isCharged: true, task: 7, isOnNode: false))
  list += [
    .kfree(address(1000)), .kfree(0), .kfree(address(5000)), .exit(9), .rmdir(2, "/jobs dir/a"),
  ]
  for index in 40..<50 { list.append(.free(address(index), cache: caches[index % 3].0)) }
  list += [.rmdir(1, "/jobs dir"), .other]
  return list
}()

private func recording(_ kernel: KernelGeneration, _ printer: Printer) -> String {
  var writer = RecordingWriter(kernel: kernel, printer: printer)
  for happening in happenings { writer.write(happening) }
  return writer.text
}

@Suite(.inTurn) struct FormatMatrixTests {
  @Test(arguments: KernelGeneration.allCases, Printer.allCases)
  func sameCounts(_ kernel: KernelGeneration, _ printer: Printer) throws {
    guard printer.isPossible(on: kernel) else { return }
    let text = recording(kernel, printer)
    let (target, counts) = try interpret(text)
    let place = "\(kernel.rawValue), \(printer.rawValue)"
    #expect(counts.format == printer.format, "\(place)")
    #expect(counts.events == happenings.count, "\(place)")
    for (found, expected) in [
      (counts.groups, 2), (counts.offlined, 2), (counts.rootCaches, 5), (counts.childCaches, 7),
      (counts.allocations, 81), (counts.charged, 36), (counts.frees, 31),
      (counts.implicitFrees, 1), (counts.unmatchedFrees, 1), (counts.nullFrees, 1),
      (counts.chargedFreesAfterOffline, 3), (counts.live, 49), (counts.chargedLive, 18),
      (counts.irregularities[.unknownEvents], 2), (counts.irregularities[.malformedLines], 0),
    ] {
      #expect(found == expected, "\(place)")
    }
    let named = kernel.hasFreedNames
    #expect(
      Set(target.cacheNames)
        == (named
          ? ["dentry", "filp", "ext4_inode_cache", "kmalloc-64", "kmalloc-1k"]
          : ["size-192", "size-256", "size-1088", "kmalloc-64", "kmalloc-1k"]),
      "\(place)")
    #expect(counts.cachesNamedByFree == (named && !kernel.hasNames ? 3 : 0), "\(place)")
    #expect(counts.cachesNamedBySize == (named ? 2 : 5), "\(place)")
    #expect(counts.areAddressesHashed == kernel.hashesPointers, "\(place)")
  }

  /// A file that went through Windows.
  @Test(arguments: KernelGeneration.allCases)
  func carriageReturns(_ kernel: KernelGeneration) throws {
    let text = recording(kernel, .trace)
    let (target, counts) = try interpret(text.replacingOccurrences(of: "\n", with: "\r\n"))
    let (expectedTarget, expected) = try interpret(text)
    #expect(counts == expected)
    #expect(target.groups.map(\.name) == expectedTarget.groups.map(\.name))
    #expect(target.cacheNames == expectedTarget.cacheNames)
  }

  /// The second reading comes from a temporary file then.
  @Test(arguments: [KernelGeneration.v6p1, .v6p19])
  func fromAPipe(_ kernel: KernelGeneration) throws {
    let file = try TemporaryFile(recording(kernel, .perf))
    let ending = try shell(
      "cat \"$1\" | \"$slab\" replay - --json; gzip -c \"$1\" > \"$1.gz\"; \"$slab\" replay \"$1.gz\" "
        + "--json | grep -E 'named_by|\"charged\"'; rm \"$1.gz\"; \"$slab\" replay - --json < \"$1\" "
        + "| grep -E 'named_by|\"charged\"'", file.path)
    #expect(ending.exitCode == 0)
    for key in [
      "\"caches_named_by_free\" : \(kernel == .v6p1 ? 3 : 0),", "\"charged\" : 36,",
      "\"caches_named_by_size\" : 2,",
    ] {
      #expect(ending.output.components(separatedBy: key).count == 4, "\(key)")
    }
  }

  @Test func aPipeThatCannotBeKept() throws {
    let file = try TemporaryFile(recording(.v6p1, .trace))
    let ending = try shell("cat \"$1\" | TMPDIR=/does/not/exist \"$slab\" replay -", file.path)
    #expect(ending.exitCode == 1)
    #expect(
      ending.messages.hasPrefix("slab: cannot copy standard input to a temporary file for the"))
  }

  /// A recording by perf, as it was made.
  @Test func realPerfScript() throws {
    let path = try resource("perf-jobs-4.perf-script.txt")
    let (target, counts) = try interpret(path: path, name: "perf")
    #expect(counts.format == .perf)
    #expect(counts.groups == 4 && counts.offlined == 4)
    #expect(counts.irregularities[.malformedLines] == 0)
    #expect(counts.allocations == 7_739)
    #expect(counts.charged == 3_249)
    #expect(counts.frees == 6_471)
    #expect(counts.rootCaches == 41)
    #expect(target.cacheNames.contains("kmalloc-64") && target.cacheNames.contains("dentry"))
  }

  @Test(arguments: Printer.allCases, Printer.allCases)
  func mixedFormatsAreRefused(_ first: Printer, _ second: Printer) throws {
    guard first.format != second.format else { return }
    let text = recording(.v6p19, first) + recording(.v6p19, second)
    let error = #expect(throws: ToolError.self) { try interpret(text) }
    guard case .mixedFormats("test", let line, second.format, first.format) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(line > happenings.count)
    #expect("\(error!)".contains("test:\(line): a line of \(second.format.title)"))
  }
}

@Suite(.inTurn) struct DamagedRecordingTests {
  /// Cut, mixed and overwritten lines: every end is one of those that there are, and the books hold.
  @Test func nothingCrashes() throws {
    try withSeed { seed in
      var random = SeededGenerator(seed: seed)
      for _ in 0..<150 {
        let text = damaged(&random)
        do {
          let (target, counts) = try interpret(text)
          #expect(
            counts.allocations == counts.frees + counts.implicitFrees + counts.live, "seed \(seed)")
          #expect(target.live == counts.live, "seed \(seed)")
        } catch is ToolError {}
      }
    }
  }

  /// What gets through the interpreter gets through the allocator as well.
  @Test func whatIsLeftIsLived() throws {
    try withSeed { seed in
      var random = SeededGenerator(seed: seed)
      for _ in 0..<10 {
        let file = try TemporaryFile(damaged(&random))
        do {
          let outcome = try Replay(
            path: file.path, name: "test", copies: 1, endings: .reparent, isSlabinfoWanted: true
          ).run { _ in }
          #expect(ReplayReport(outcome).figures.sumCheckFailures == [], "seed \(seed)")
        } catch let error as ToolError {
          if case .allocator = error { Issue.record("seed \(seed): \(error)") }
        }
      }
    }
  }

  private func damaged(_ random: inout SeededGenerator) -> String {
    let kernels = KernelGeneration.allCases
    var lines = recording(
      kernels.randomElement(using: &random)!, Printer.allCases.randomElement(using: &random)!
    ).split(separator: "\n").map { Array($0.utf8) }
    let other = recording(
      kernels.randomElement(using: &random)!, Printer.allCases.randomElement(using: &random)!
    ).split(separator: "\n").map { Array($0.utf8) }
    for _ in 0..<Int.random(in: 1...30, using: &random) {
      let index = Int.random(in: 0..<lines.count, using: &random)
      let length = lines[index].count
      let cut = Int.random(in: 0...length, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: lines[index].removeLast(length - cut)
      case 1: lines[index].removeFirst(cut)
      case 2: lines[index] = Array(lines[index][..<cut]) + lines.randomElement(using: &random)!
      case 3 where cut < length: lines[index][cut] = UInt8.random(in: 0...255, using: &random)
      case 4: lines.swapAt(index, Int.random(in: 0..<lines.count, using: &random))
      default:
        // Seldom, since it ends the reading.
        if Int.random(in: 0..<20, using: &random) == 0 {
          lines[index] = other.randomElement(using: &random)!
        }
      }
    }
    return String(decoding: Array(lines.joined(separator: [10])), as: UTF8.self) + "\n"
  }
}
