// SPDX-License-Identifier: Apache-2.0

/// Why a monitor does not start.
@nonexhaustive
public enum MonitorError: Error, Equatable, Sendable {
  /// The host is no numeric address of IPv4 or IPv6, nor `localhost`.
  case invalidHost(String)
  /// The address can be reached from other machines, and there is no token.
  case tokenRequired(host: String)
  /// The token has fewer than 16 characters, or others than visible ASCII.
  case invalidToken
  /// A setting is outside its bounds.
  case invalidSetting(name: String, value: String)
  /// The system refuses to listen at the address.
  case cannotListen(address: String, errno: Int32)
  /// The system has no thread left.
  case noThread(errno: Int32)
}

extension MonitorError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidHost(let host):
      "\(host): not a numeric address of IPv4 or IPv6, nor localhost"
    case .tokenRequired(let host):
      "\(host) can be reached from other machines: a token is required there"
    case .invalidToken: "a token has 16 characters or more, all of them visible ASCII"
    case .invalidSetting(let name, let value): "\(name): \(value) is out of bounds"
    case .cannotListen(let address, let errno): "cannot listen at \(address): \(text(of: errno))"
    case .noThread(let errno): "cannot start a thread: \(text(of: errno))"
    }
  }
}
