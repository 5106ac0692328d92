// SPDX-License-Identifier: Apache-2.0
// One run of the main job: lives a recording on a new allocator, looks at it, cleans up, looks
// again.

import Slab
import SlabServer

struct Replay {
  /// The recording's path, or `-`, and what messages call it.
  var path: String
  var name: String
  var copies: Int
  var endings: EndingPolicy
  var isSlabinfoWanted: Bool
  var design = SlabAllocator.Design.current
  /// The cgroup hierarchy whose groups are lived; nil for that of the first group.
  var hierarchy: UInt64?
  /// Where the allocator is served; then the replay stands still at the end of the recording.
  var serve: String?

  /// Lives the recording. Warnings that do not stop it are handed to `warn` when it has been
  /// read, also when it could not be read to its end.
  func run(warn: (String) -> Void) throws(ToolError) -> ReplayOutcome {
    let source = try RecordingSource(path, name: name)
    let allocator = try SlabAllocator(by: design, endings: endings)
    let server = try serve.map { path throws(ToolError) in
      try SlabServer.start(forTool: allocator, at: path)
    }
    defer { server?.stop() }
    var interpreter = RecordingInterpreter(
      SlabReplayTarget(allocator, copies: copies), recording: name, hierarchy: hierarchy)

    let start = MonotonicTime.nanoseconds()
    try live(source, &interpreter, warn: warn)
    allocator.waitUntilIdle()
    let replaySeconds = MonotonicTime.seconds(since: start)
    let counts = interpreter.currentCounts
    let atEnd = allocator.statistics
    let countersAtEnd = allocator.countersByName
    let chargedLiveBytes = interpreter.target.chargedLiveBytes
    let slabinfo = isSlabinfoWanted ? try slabinfoText(of: allocator) : nil
    if let serve { Self.standStill(servedAt: serve) }
    server?.stop()

    try interpreter.target.endGroupsAndObjects()
    allocator.waitUntilIdle()
    try interpreter.target.destroyCaches()
    allocator.waitUntilIdle()
    allocator.trim()
    let afterCleanup = allocator.statistics
    let countersAfterCleanup = allocator.countersByName
    // SAFETY: every object is freed, and the handles on caches and groups go with this function.
    unsafe allocator.unmapEverything()

    return ReplayOutcome(
      recording: name, copies: copies, endings: endings, design: design, counts: counts,
      atEnd: atEnd, afterCleanup: afterCleanup, countersAtEnd: countersAtEnd,
      countersAfterCleanup: countersAfterCleanup, chargedLiveBytesAtEnd: chargedLiveBytes,
      offlineLatencies: interpreter.target.offlineLatencies.percentiles,
      replaySeconds: replaySeconds, slabinfo: slabinfo)
  }

  private static func standStill(servedAt path: String) {
    let stop = StopSignals()
    StandardStream.writeMessage(
      "slab: the recording is over; slab top \(path) shows what is left, Ctrl-C ends this\n")
    while stop.wait(milliseconds: 1000) == nil {}
  }

  private func live(
    _ source: consuming RecordingSource,
    _ interpreter: inout RecordingInterpreter<SlabReplayTarget>,
    warn: (String) -> Void
  ) throws(ToolError) {
    defer { interpreter.currentCounts.irregularities.warnings(recording: name).forEach(warn) }
    var progress = ProgressBar(totalBytes: source.fileBytes)
    try interpreter.interpret(source) { position in progress.show(bytes: position) }
    try interpreter.checkWasLived()
  }

  private func slabinfoText(of allocator: SlabAllocator) throws(ToolError) -> String {
    do throws(SlabError) {
      return try allocator.slabinfo()
    } catch {
      throw .allocator("read slabinfo", error)
    }
  }
}

extension SlabAllocator {
  /// A new allocator by the rules of a design.
  init(by design: Design, endings: EndingPolicy = .reparent) throws(ToolError) {
    var configuration = Configuration()
    configuration.design = design
    configuration.endings = endings
    do throws(SlabError) {
      try self.init(configuration: configuration)
    } catch {
      throw .allocator("start the allocator", error)
    }
  }
}

extension SlabServer {
  /// Serves an allocator of the tool's.
  static func start(
    forTool allocator: SlabAllocator, at path: String
  ) throws(ToolError) -> SlabServer {
    do throws(SlabServerError) {
      return try start(at: path, for: allocator)
    } catch {
      throw .cannotServe(reason: error.description)
    }
  }
}
