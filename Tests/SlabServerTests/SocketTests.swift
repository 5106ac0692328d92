// SPDX-License-Identifier: Apache-2.0
// Where a server listens: who gets in, what is taken over, what is refused, and what is left.

import Foundation
import Glibc
import Slab
import SlabTestSupport
import Testing

@testable import SlabServer

@Suite(.inTurn) struct SocketTests {
  /// A socket at a path as a process leaves it that was killed.
  private func leaveStaleSocket(at path: String) throws {
    let descriptor = try #require(SocketDescriptor.socket())
    let isBound = try SocketAddress(path).bind(descriptor)
    #expect(isBound && listen(descriptor.number, 1) == 0)
    descriptor.close()
  }

  private func error(at path: String) -> SlabServerError? {
    do throws(SlabServerError) {
      try SlabServer.start(at: path).stop()
      return nil
    } catch {
      return error
    }
  }

  @Test func modesAndRemoval() throws {
    for (access, mode) in [(SlabServer.Access.ownUser, mode_t(0o600)), (.everyone, 0o666)] {
      try withServer(access: access) { server, _, place in
        #expect(place.mode == mode)
        server.stop()
        #expect(place.mode == nil)
        // Once more is nothing, also when another server has the place.
        let next = try SlabServer.start(at: place.path)
        server.stop()
        #expect(place.mode == 0o600)
        next.stop()
        #expect(place.mode == nil)
      }
    }
  }

  /// A file that was put there meanwhile is another one's.
  @Test func aPlaceThatWasTaken() throws {
    let place = try TemporaryPath()
    let server = try SlabServer.start(at: place.path)
    _ = unsafe unlink(place.path)
    try "text".write(toFile: place.path, atomically: false, encoding: .utf8)
    server.stop()
    #expect(try String(contentsOfFile: place.path, encoding: .utf8) == "text")
  }

  @Test func staleAndLive() throws {
    let place = try TemporaryPath()
    try leaveStaleSocket(at: place.path)
    let server = try SlabServer.start(at: place.path)
    #expect(error(at: place.path) == .inUse(path: place.path, process: getpid()))
    #expect(try Client(server.path).error("x") != nil)
    server.stop()
  }

  /// Of many that find a socket that was left, one has it.
  @Test func manyTakeOver() throws {
    for _ in 0..<20 {
      let place = try TemporaryPath()
      try leaveStaleSocket(at: place.path)
      let path = place.path
      let started = Counted()
      onThreads(4) { _ in
        if let server = try? SlabServer.start(at: path) { started.add(server) }
      }
      #expect(started.servers.count == 1)
      #expect(try Client(path).error("x") != nil)
      for server in started.servers { server.stop() }
    }
  }

  /// The process that listens is gone, and a child of fork still has its socket: nobody serves it.
  @Test func aChildHasTheSocket() throws {
    let place = try TemporaryPath()
    let script = """
      import os, socket, sys
      s = socket.socket(socket.AF_UNIX)
      if os.fork() == 0:
          s.bind(sys.argv[1]); s.listen(1)
          if os.fork() == 0:
              for fd in set(range(1, 100)) - {s.fileno()}:
                  try: os.close(fd)
                  except OSError: pass
              sys.stdin.read()
          os._exit(0)
      os.wait()
      """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", script, place.path]
    let input = Pipe()
    process.standardInput = input
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    let server = try SlabServer.start(at: place.path)
    #expect(try Client(server.path).error("x") != nil)
    server.stop()
    try input.fileHandleForWriting.close()
  }

  @Test func refusals() throws {
    let place = try TemporaryPath()
    #expect(error(at: "") == .invalidPath)
    #expect(error(at: "a\0b") == .invalidPath)
    let long = "/tmp/" + String(repeating: "x", count: 103)
    #expect(error(at: long) == .pathTooLong(bytes: 108, most: 107))
    #expect(error(at: place.folder) == .notASocket(path: place.folder))
    try "text".write(toFile: place.path, atomically: false, encoding: .utf8)
    #expect(error(at: place.path) == .notASocket(path: place.path))
    let link = place.folder + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: place.path)
    #expect(error(at: link) == .notASocket(path: link))
    let nowhere = place.folder + "/no/where"
    guard case .system(_, nowhere, ENOENT)? = error(at: nowhere) else {
      Issue.record("\(String(describing: error(at: nowhere)))")
      return
    }
    let folder = unsafe open(place.folder, O_RDONLY | O_DIRECTORY)
    #expect(flock(folder, LOCK_SH) == 0)
    for name in ["free", "\u{301}free"] {
      #expect(error(at: place.folder + "/" + name) == .folderBusy(path: place.folder + "/"))
    }
    close(folder)
    for error in [SlabServerError.invalidPath, .inUse(path: "/a", process: 7)] {
      #expect(!error.description.isEmpty)
    }
  }

  /// Another user, where the mode of the socket has been changed: the server looks who it is. Tests that are root can
  /// become another one.
  @Test func anotherUser() throws {
    guard geteuid() == 0 else { return }
    try withServer { server, _, place in
      _ = unsafe chmod(place.folder, 0o755)
      let outside = try ask(server.path, as: 65534)
      #expect(outside.contains("Permission denied"))
      _ = unsafe chmod(place.path, 0o666)
      let refusal = "{\"error\":\"only user 0 may read\"}"
      let answer = try ask(server.path, as: 65534)
      #expect(answer == refusal)
    }
    try withServer(access: .everyone) { server, _, place in
      _ = unsafe chmod(place.folder, 0o755)
      let answer = try ask(server.path, as: 65534)
      #expect(answer.hasPrefix("{\"caches\""))
    }
  }

  /// The first bytes of what another user is answered.
  private func ask(_ path: String, as user: Int) throws -> String {
    let script = """
      import os, socket, sys
      os.setgroups([]); os.setgid(\(user)); os.setuid(\(user))
      s = socket.socket(socket.AF_UNIX)
      try:
          s.connect(sys.argv[1])
          # Refused before it asks, it can read why.
          try: s.sendall(b"snapshot largest=0\\n")
          except BrokenPipeError: pass
          print(s.recv(40).decode(), end="")
      except OSError as error: print(error, end="")
      """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", script, path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .newlines)
  }

  @Test func thePlaceOfAProcess() throws {
    let folder = DefaultPath.folder(ofUser: geteuid())
    let server = try SlabServer.start()
    #expect(server.path == "\(folder)/\(getpid()).sock")
    #expect(try Client(server.path).error("x") != nil)
    server.stop()
    var status = stat()
    #expect(unsafe lstat(folder, &status) == 0 && status.st_mode & 0o777 == 0o700)
  }

  /// A child of fork has no server; what it does leaves its parent's as it is.
  @Test(.enabled(if: !isSanitized)) func forks() async throws {
    await #expect(processExitsWith: .success) {
      let place = try TemporaryPath()
      let server = try SlabServer.start(at: place.path)
      prepareForForks()
      let child = forkProcess()
      if child == 0 {
        server.stop()
        _exit(0)
      }
      var status: CInt = 0
      _ = unsafe waitpid(child, &status, 0)
      let answer = try Client(server.path).error("x")
      server.stop()
      exit(status == 0 && answer != nil ? 0 : 1)
    }
  }
}

private final class Counted: @unchecked Sendable {
  private let lock = NSLock()
  private var started: [SlabServer] = []
  var servers: [SlabServer] { lock.withLock { started } }
  func add(_ server: SlabServer) { lock.withLock { started.append(server) } }
}
