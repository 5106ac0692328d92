// SPDX-License-Identifier: Apache-2.0
// A server with a handful of tenants that come and go, to look at with a monitor:
//
//   swift run -c release Tenants [--port N] [--groups N] [--seconds N] [--host ADDRESS] [--token TEXT]
//
//   --port      where the monitor listens on this machine; 0 for any port. 9640 without.
//   --groups    so many more groups, with an object in each tenth. 0 without.
//   --seconds   how long it runs; until it is interrupted without.

import Glibc
import Slab
import SlabMonitor

@main
enum Tenants {
  static func main() async throws {
    let options = try Options(CommandLine.arguments.dropFirst())
    var configuration = SlabMonitor.Configuration()
    configuration.host = options.host
    configuration.port = options.port
    configuration.token = options.token
    configuration.interval = .seconds(1)
    let monitor: SlabMonitor
    do throws(MonitorError) {
      monitor = try .start(configuration)
    } catch {
      say("Tenants: \(error)", on: STDERR_FILENO)
      exit(1)
    }
    let crowd = try Crowd(count: options.groups)
    say("http://\(monitor.address)/")
    say("http://\(monitor.address)/metrics is for Prometheus; Ctrl-C ends it")
    let service = try Service()
    let end = options.seconds.map { ContinuousClock.now + .seconds($0) }
    while end.map({ .now < $0 }) ?? true {
      try service.step()
      try await Task.sleep(for: .milliseconds(100))
    }
    monitor.stop()
    withExtendedLifetime(crowd) {}
  }
}

struct Options {
  var host = "127.0.0.1"
  var port: UInt16 = 9640
  var token: String? = nil
  var groups = 0
  var seconds: Int? = nil

  init(_ arguments: ArraySlice<String>) throws {
    var rest = arguments
    while let name = rest.popFirst() {
      let value = rest.popFirst()
      switch (name, value) {
      case ("--host", let value?): host = value
      case ("--token", let value?): token = value
      case ("--port", let value?): port = Self.number(value, of: name)
      case ("--groups", let value?): groups = Self.number(value, of: name)
      case ("--seconds", let value?): seconds = Self.number(value, of: name)
      default: Self.refuse(name, value)
      }
    }
  }

  private static func number<Number: FixedWidthInteger>(_ text: String, of name: String) -> Number {
    guard let number = Number(text) else { refuse(name, text) }
    return number
  }

  private static func refuse(_ name: String, _ value: String?) -> Never {
    say("Tenants: \(name) \(value ?? ""): not understood", on: STDERR_FILENO)
    exit(64)
  }
}

/// A line, which is out at once even if it goes into a pipe.
func say(_ line: String, on file: Int32 = STDOUT_FILENO) {
  var text = line + "\n"
  // SAFETY: the bytes are there for as long as the call.
  _ = text.withUTF8 { unsafe write(file, $0.baseAddress, $0.count) }
}
