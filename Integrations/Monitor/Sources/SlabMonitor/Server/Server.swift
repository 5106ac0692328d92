// SPDX-License-Identifier: Apache-2.0
internal import Dispatch
internal import FlyingSocks
internal import FoundationEssentials
internal import Glibc
internal import Synchronization

/// Listens, and gives each client a thread, up to a bound.
final class Server: Sendable {
  private struct State {
    var isStopping = false
    /// Of the clients that are served.
    var open: Set<Int32> = []
  }

  /// How long a client may take.
  struct Times: Sendable {
    /// For the whole head of its request.
    var head: Duration = .seconds(10)
    /// To read an answer, or an event of a stream.
    var answer: Duration = .seconds(60)
  }

  private let listening: Socket
  private let router: Router
  private let clients: Int
  private let requestBytes: Int
  private let times: Times
  private let state = Mutex(State())
  private let threads = DispatchGroup()
  private let process = getpid()
  let address: String

  init(
    _ configuration: SlabMonitor.Configuration, _ router: Router, _ times: Times
  ) throws(MonitorError) {
    let host = try Host(configuration.host)
    listening = try host.listen(at: configuration.port)
    address = host.name(with: listening.port)
    self.router = router
    self.times = times
    clients = configuration.clients
    requestBytes = configuration.requestBytes
  }

  func start() throws(MonitorError) {
    do throws(MonitorError) {
      try MonitorThread.start(in: threads) { self.acceptClients() }
    } catch {
      try? listening.close()
      throw error
    }
  }

  func stop() {
    // A child of fork has the count of the threads, and none of them: it would wait for ever.
    guard getpid() == process else { return }
    state.withLock { state in
      guard !state.isStopping else { return }
      state.isStopping = true
      // All of these are open: a thread closes its socket under this lock, or after it has seen the flag.
      shutdown(listening.file.rawValue, Int32(SHUT_RDWR))
      for file in state.open { shutdown(file, Int32(SHUT_RDWR)) }
    }
    threads.wait()
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  private func acceptClients() {
    defer { try? listening.close() }
    while !isStopping {
      guard listening.isReady(for: Int16(POLLIN), before: .now + .seconds(60)) else { continue }
      do {
        try serve(Socket(file: listening.accept().file))
      } catch SocketError.blocked {
        // The client was gone before its turn.
      } catch {
        // No file descriptor, no memory or no thread is left: there may be one later.
        usleep(100_000)
      }
    }
  }

  private func serve(_ socket: Socket) throws {
    let file = socket.file.rawValue
    let connection: Connection
    do { connection = try Connection(socket) } catch {
      try? socket.close()
      throw error
    }
    let isTaken = state.withLock { state in
      guard !state.isStopping, state.open.count < clients else { return false }
      state.open.insert(file)
      return true
    }
    guard isTaken else {
      router.source.noteRefusedClient()
      let response = Response(
        "503 Service Unavailable", "the monitor serves \(clients) clients at one time",
        headers: ["Retry-After: 5"])
      try? connection.write(response.encoded(withoutBody: false), before: .now)
      // Other clients wait for this thread.
      connection.finish(within: .zero)
      try? socket.close()
      return
    }
    router.source.noteClients(+1)
    do throws(MonitorError) {
      try MonitorThread.start(in: threads) {
        try? self.answer(connection)
        connection.finish(within: .seconds(1))
        self.close(socket)
      }
    } catch {
      close(socket)
      throw error
    }
  }

  private func close(_ socket: Socket) {
    state.withLock { state in
      state.open.remove(socket.file.rawValue)
      try? socket.close()
    }
    router.source.noteClients(-1)
  }

  private func answer(_ connection: Connection) throws(Connection.End) {
    let head: RequestHead
    switch try readHead(of: connection) {
    case .success(let read): head = read
    case .failure(let refusal):
      try connection.write(
        refusal.response.encoded(withoutBody: false), before: .now + times.answer)
      return
    }
    switch router.answer(to: head) {
    case .whole(let response):
      let data = response.encoded(withoutBody: head.method == "HEAD")
      try connection.write(data, before: .now + times.answer)
    case .events(let group):
      let type = "text/event-stream; charset=utf-8"
      try connection.write(Response.streamHead(type: type), before: .now + times.answer)
      if head.method == "HEAD" { return }
      try sendEvents(about: group, over: connection)
    }
  }

  private struct Refusal: Error { let response: Response }

  private func readHead(
    of connection: Connection
  ) throws(Connection.End) -> Result<RequestHead, Refusal> {
    func refusal(_ status: String, _ why: String) -> Result<RequestHead, Refusal> {
      .failure(Refusal(response: Response(status, why)))
    }
    let deadline = ContinuousClock.now + times.head
    var bytes: [UInt8] = []
    while true {
      let before = bytes.count
      do throws(Connection.End) {
        bytes += try connection.read(before: deadline)
      } catch .late {
        return refusal("408 Request Timeout", "no whole request within \(times.head)")
      }
      if let end = RequestHead.end(in: bytes, from: before), end <= requestBytes {
        guard let head = RequestHead(bytes[..<end]) else {
          return refusal("400 Bad Request", "not a request in HTTP/1.1")
        }
        return .success(head)
      }
      if bytes.count > requestBytes {
        return refusal(
          "431 Request Header Fields Too Large", "a request has \(requestBytes) bytes at most")
      }
    }
  }

  /// One event for each new sample, until the client goes or does not read.
  private func sendEvents(about group: String?, over connection: Connection) throws(Connection.End)
  {
    while true {
      let (event, due) = router.source.event(about: group)
      try connection.write(event, before: .now + times.answer)
      if connection.isClosed(before: due) { return }
    }
  }
}
