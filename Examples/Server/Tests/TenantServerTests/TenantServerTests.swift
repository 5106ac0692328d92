// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationNetworking
import Hummingbird
import ServiceLifecycle
import Slab
import TenantServer
import Testing

@Suite(.serialized) struct TenantServerTests {
  /// Four bodies of 1.5 MB where a request may have 256 KiB: each is refused, and the neighbours' requests are answered.
  @Test(.timeLimit(.minutes(1))) func hostileBodies() async throws {
    try await withServer { tenants, port in
      let large = body(tags: 1_500_000 / 16)
      let small = body(tags: 100)
      #expect(large.count >= 1_500_000)
      try await withThrowingTaskGroup(of: Void.self) { requests in
        for _ in 0..<4 {
          requests.addTask {
            let status = try await postByCurl(large, of: "hostile", to: port)
            #expect(status == 413)
          }
        }
        for neighbour in 0..<4 {
          requests.addTask {
            for _ in 0..<50 {
              let (status, text) = await post(small, of: "neighbour-\(neighbour)", to: port)
              #expect(status == 200 && text.contains("\"tags\":100"))
            }
          }
        }
        try await requests.waitForAll()
      }
      for neighbour in 0..<4 {
        let group = try tenants.group(of: "neighbour-\(neighbour)")
        #expect(group.events.overcharge == 0 && group.events.oom == 0)
      }
      // What the hostile tenant took beyond its limits went with its requests.
      #expect(try await tenants.group(of: "hostile").isEmptied(but: 64 << 10))
    }
  }

  /// A request's memory is its tenant's: the body, the decoder's, the document, the answer.
  @Test(.timeLimit(.minutes(1))) func aRequestIsCharged() async throws {
    try await withServer { tenants, port in
      let document = body(tags: 2_000)
      _ = await post(document, of: "tenant", to: port)
      let (status, text) = await post(document, of: "tenant", to: port)
      #expect(status == 200)
      // The handler says what was charged to the request while it had the body and the document.
      let bytes = try #require(
        text.split(separator: "\"bytes\":").last.flatMap { Int($0.prefix { $0.isNumber }) })
      #expect(bytes > document.count + 2_000 * 32, "\(text)")
    }
  }

  @Test(.timeLimit(.minutes(1))) func withoutATenant() async throws {
    try await withServer { _, port in
      let (status, _) = await post(body(tags: 1), of: nil, to: port)
      #expect(status == 401)
    }
  }
}

/// Runs a server on a free port, and a body beside it.
private func withServer(_ body: @Sendable (Tenants, Int) async throws -> Void) async throws {
  let tenants = Tenants(requestMax: 256 << 10)
  let (ports, continuation) = AsyncStream<Int>.makeStream()
  let server = makeServer(tenants: tenants, port: 0) { continuation.yield($0) }
  let services = ServiceGroup(
    configuration: .init(services: [server], logger: server.logger))
  try await withThrowingTaskGroup(of: Void.self) { tasks in
    tasks.addTask { try await services.run() }
    let port = await ports.first { _ in true }
    try await body(tenants, #require(port))
    await services.triggerGracefulShutdown()
    try await tasks.waitForAll()
  }
}

private func body(tags: Int) -> Data {
  let list = (0..<tags).map { "\"tag-\(100_000_000 + $0)\"" }.joined(separator: ",")
  return Data("{\"title\":\"a title\",\"tags\":[\(list)]}".utf8)
}

/// The status and the text of the answer; 0 if there was none.
private func post(_ body: Data, of tenant: String?, to port: Int) async -> (Int, String) {
  var request = URLRequest(url: URL(string: "http://127.0.0.1:\(port)/documents")!)
  request.httpMethod = "POST"
  request.setValue(tenant, forHTTPHeaderField: "X-Tenant")
  request.setValue("application/json", forHTTPHeaderField: "Content-Type")
  do {
    let (data, response) = try await URLSession.shared.upload(for: request, from: body)
    return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
  } catch {
    return (0, "\(error)")
  }
}

/// The status of the answer, by another program: a session of Foundation's whose upload is answered before its end may spin from
/// then on, and answer nobody.
private func postByCurl(_ body: Data, of tenant: String, to port: Int) async throws -> Int? {
  let file = FileManager.default.temporaryDirectory.appending(path: "body-\(UUID().uuidString)")
  try body.write(to: file)
  defer { try? FileManager.default.removeItem(at: file) }
  let curl = Process()
  let output = Pipe()
  curl.executableURL = URL(filePath: "/usr/bin/env")
  curl.arguments = [
    "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header",
    "Expect:",
    "--header", "X-Tenant: \(tenant)", "--header", "Content-Type: application/json",
    "--data-binary", "@\(file.path)", "http://127.0.0.1:\(port)/documents",
  ]
  curl.standardOutput = output
  try await withCheckedThrowingContinuation {
    (continuation: CheckedContinuation<Void, any Error>) in
    curl.terminationHandler = { _ in continuation.resume() }
    do { try curl.run() } catch { continuation.resume(throwing: error) }
  }
  return Int(String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self))
}

extension MemoryGroup {
  /// Waits until at most so many bytes of it are in use: the runtime frees a task's memory when the task has ended.
  fileprivate func isEmptied(but bytes: Int) async -> Bool {
    for _ in 0..<2_000 {
      let statistics = statistics
      if statistics.objects + statistics.below <= bytes { return true }
      try? await Task.sleep(for: .milliseconds(5))
    }
    return false
  }
}
