// SPDX-License-Identifier: Apache-2.0
// A Unix socket at which a live process shows its allocator: what a caller starts and stops. The thread behind it is
// ServerLoop's, what is said on it docs/observing.md's.

internal import Glibc
public import Slab
internal import Synchronization

/// A Unix socket at which `slab top`, `slab report` and others read what an allocator has, from a thread of its own.
///
/// ```
/// let server = try SlabServer.start(at: "/run/shop/slab.sock")
/// ```
///
/// A client is served beside the program, which never waits for it: a snapshot takes short locks, a client that does not
/// read holds up no one, and there is a bound to the clients, to their requests and to the answers.
public final class SlabServer: Sendable {
  /// Which users may read. What they see are names and numbers, never an object.
  public enum Access: Sendable {
    /// The user that the process runs as, and no other, not even root.
    case ownUser
    /// Everyone who can reach the path.
    case everyone
  }

  /// Where clients connect.
  public let path: String
  private let listener: Listener
  private let process = getpid()
  /// Nil once it has been stopped.
  private let running: Mutex<Running?>

  private struct Running: Sendable {
    let thread: pthread_t
    let wake: SocketDescriptor
  }

  /// Opens the socket and serves it until `stop` or the end of the process, whether or not the result is kept. Returns
  /// when clients can connect. Starts a thread; a few system calls.
  ///
  /// A socket that a process has left behind is taken over. One that is served is not touched.
  ///
  /// - Parameters:
  ///   - path: where to listen; `nil` for the place where `slab top` looks for this process by its number.
  ///   - allocator: the allocator to show. It must not be unmapped before `stop` has returned.
  ///   - access: who may connect.
  ///   - clients: how many may be connected at one time; one more is told so and let go.
  ///
  /// - Throws: what stands against it. Nothing is left of it then.
  @discardableResult
  public static func start(
    at path: String? = nil, for allocator: SlabAllocator = .shared, access: Access = .ownUser,
    clients: Int = 8
  ) throws(SlabServerError) -> SlabServer {
    let place: String
    if let path { place = path } else { place = try DefaultPath.make() }
    let listener = try Listener(at: place, access: access)
    do throws(SlabServerError) {
      return try SlabServer(listener, allocator, access, clients: max(clients, 1))
    } catch {
      listener.remove()
      throw error
    }
  }

  private init(
    _ listener: Listener, _ allocator: SlabAllocator, _ access: Access, clients: Int
  ) throws(SlabServerError) {
    let (wake, woken) = try SocketDescriptor.pair()
    self.path = listener.path
    self.listener = listener
    let loop = ServerLoop(
      listener: listener.descriptor, woken: woken, allocator: allocator, access: access,
      mostClients: clients)
    do throws(SlabServerError) {
      running = Mutex(Running(thread: try loop.start(), wake: wake))
    } catch {
      wake.close()
      throw error
    }
  }

  /// Stops serving and removes the socket. When it returns nothing of the server uses the allocator any more: waits for
  /// the answer that is being made. From any thread, any number of times; in a child of fork it does nothing.
  public func stop() {
    guard getpid() == process else { return }
    // Under the lock: a second thread that stops it returns when it has stopped, too.
    running.withLock { running in
      guard let thread = running else { return }
      running = nil
      thread.wake.close()
      _ = pthread_join(thread.thread, nil)
      listener.remove()
    }
  }
}
