// SPDX-License-Identifier: Apache-2.0
// The thread of a server: one loop over the listening socket and the clients, none of which it waits for.

internal import Glibc
internal import Slab

struct ServerLoop: Sendable {
  let listener: SocketDescriptor
  /// Can be read when the loop is to end.
  let woken: SocketDescriptor
  let allocator: SlabAllocator
  let access: SlabServer.Access
  let mostClients: Int

  private final class Argument: Sendable {
    let loop: ServerLoop
    init(_ loop: ServerLoop) { self.loop = loop }
  }

  /// Runs it on a new thread, on which no signal handler of the program runs.
  func start() throws(SlabServerError) -> pthread_t {
    var all = sigset_t()
    var before = sigset_t()
    // SAFETY: the calls fill and read sets of this frame.
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { _ = unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(Argument(self))
    // SAFETY: the argument is retained, and the thread takes it over.
    let error = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<Argument>.fromOpaque(argument!).takeRetainedValue().loop.run()
        return nil
      }, argument.toOpaque())
    guard error == 0 else {
      unsafe argument.release()
      woken.close()
      throw .system(call: "pthread_create", path: "a socket", errno: error)
    }
    return thread
  }

  private func run() {
    var clients: [ServedClient] = []
    defer {
      for client in clients { client.descriptor.closeConnection() }
      woken.close()
    }
    while true {
      var polled = [
        pollfd(fd: woken.number, events: Int16(POLLIN), revents: 0),
        pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0),
      ]
      for client in clients {
        polled.append(pollfd(fd: client.descriptor.number, events: client.events, revents: 0))
      }
      // SAFETY: the call reads and fills the array, and is told its count.
      guard unsafe poll(&polled, nfds_t(polled.count), -1) > 0 else { continue }
      if polled[0].revents != 0 { return }
      for index in clients.indices.reversed() where polled[index + 2].revents != 0 {
        if !clients[index].goOn(with: allocator) {
          clients.remove(at: index).descriptor.closeConnection()
        }
      }
      if polled[1].revents != 0 { admit(&clients) }
    }
  }

  private func admit(_ clients: inout [ServedClient]) {
    guard let descriptor = listener.accept() else {
      // No descriptor is free, say: the client goes on waiting, and the loop must not spin.
      if errno != EAGAIN { usleep(10_000) }
      return
    }
    if let refusal = refusal(of: descriptor, clients.count) {
      // A new connection has room for a line.
      _ = descriptor.write(Answer.error(refusal)[...])
      descriptor.closeConnection()
      return
    }
    clients.append(ServedClient(descriptor))
  }

  private func refusal(of client: SocketDescriptor, _ count: Int) -> String? {
    if access == .ownUser {
      let own = geteuid()
      guard let user = client.peer?.user, user == own else { return "only user \(own) may read" }
    }
    return count < mostClients ? nil : "\(mostClients) clients are connected: no more may be"
  }
}
