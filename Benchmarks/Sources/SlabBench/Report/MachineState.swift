// SPDX-License-Identifier: Apache-2.0
// The machine, and how much of it others used: what a reader must know to trust the figures.

import Glibc

struct MachineState {
  private let busyTicks: Double
  private let allTicks: Double
  private let ownSeconds: Double

  init() {
    // user nice system idle iowait irq softirq steal, in ticks of 10 ms.
    let line = SystemFile.text(of: "/proc/stat").prefix { $0 != "\n" }
    let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
    allTicks = ticks.reduce(0, +)
    busyTicks = ticks.count == 8 ? allTicks - ticks[3] - ticks[4] : 0
    ownSeconds = Self.seconds(of: RUSAGE_SELF) + Self.seconds(of: RUSAGE_CHILDREN)
  }

  /// The share of all CPU time since `earlier` that went to others, in percent.
  func othersPercent(since earlier: MachineState) -> Double {
    let all = allTicks - earlier.allTicks
    guard all > 0 else { return 0 }
    let own = (ownSeconds - earlier.ownSeconds) * Double(sysconf(CInt(_SC_CLK_TCK)))
    return max(0, busyTicks - earlier.busyTicks - own) / all * 100
  }

  private static func seconds(of who: __rusage_who) -> Double {
    var usage = rusage()
    unsafe getrusage(__rusage_who_t(who.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
  }

  static var loadAverage: String {
    SystemFile.text(of: "/proc/loadavg").split(separator: " ").first.map(String.init) ?? "?"
  }

  static var processor: String {
    for line in SystemFile.text(of: "/proc/cpuinfo").split(separator: "\n")
    where line.hasPrefix("model name") {
      return line.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "?"
    }
    return "?"
  }

  static var kernel: String {
    let text = SystemFile.text(of: "/proc/sys/kernel/osrelease")
    return String(text.prefix { $0 != "\n" })
  }
}
