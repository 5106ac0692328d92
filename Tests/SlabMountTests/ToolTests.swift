// SPDX-License-Identifier: Apache-2.0
// The tools that people have, unmodified, and what they show beside what the process knows. They are installed by
// `.ci/run mount`, which runs these tests in a mount namespace: some tools look at fixed places.

#if FUSE
  import Foundation
  import Glibc
  import Testing

  @testable import Slab
  @testable import SlabMount

  /// What a shell says and how it ends; `path` is `$1` there.
  func shell(_ script: String, _ path: String) throws -> (status: CInt, output: String) {
    let file = temporaryDirectory() + "/script"
    try "set -o pipefail\n\(script)\n".write(toFile: file, atomically: false, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: String(file.dropLast("/script".count))) }
    // Foundation's Process waits for whatever the shell leaves running, such as a server of tmux.
    // SAFETY: the stream is read and closed here only.
    guard let stream = unsafe popen("exec bash \(file) '\(path)' 2>&1 </dev/null", "re") else {
      throw Refusal(errno: errno)
    }
    var output: [UInt8] = []
    while case let byte = unsafe getc(stream), byte >= 0 { output.append(UInt8(byte)) }
    let status = unsafe pclose(stream)
    return (status & 0x7f == 0 ? status >> 8 & 0xff : -1, String(decoding: output, as: UTF8.self))
  }

  /// A line of slabinfo, as numbers.
  private struct Line: Equatable {
    let active, total, size, perSlab, pages, slabs: Int
  }

  extension MountTests {
    @Suite struct Tools {
      /// Caches with objects, of which nothing moves while the body runs.
      private func withCaches(
        _ body: (_ allocator: SlabAllocator, _ path: String, _ lines: [String: Line]) throws -> Void
      ) throws {
        try withMount { allocator, path, _ in
          let caches = try (1...20).map {
            try RawSlabCache(named: "tenant:cache-\($0)", objectSize: 40 * $0, of: allocator)
          }
          let group = try allocator.rootGroup.makeChild(named: "tenant", max: 1 << 24)
          var objects: [[UnsafeMutableRawPointer]] = unsafe []
          for (number, cache) in caches.enumerated() {
            unsafe objects.append(
              try (0..<number * 17).map { _ in try unsafe cache.allocate(in: group) })
          }
          try body(allocator, path, try lines(of: allocator))
          for (index, cache) in caches.enumerated() {
            for place in unsafe objects[index].indices { unsafe cache.free(objects[index][place]) }
          }
        }
      }

      private func lines(of allocator: SlabAllocator) throws -> [String: Line] {
        var lines: [String: Line] = [:]
        for line in try allocator.slabinfo().split(separator: "\n").dropFirst(2) {
          let words = line.split(separator: " ")
          let numbers = words.map { Int($0) ?? 0 }
          lines[String(words[0])] = Line(
            active: numbers[1], total: numbers[2], size: numbers[3], perSlab: numbers[4],
            pages: numbers[5], slabs: numbers[14])
        }
        return lines
      }

      private func bind(_ path: String) throws {
        let bound = try shell("mount --bind $1/slabinfo /proc/slabinfo", path)
        #expect(bound.status == 0, "\(bound.output)")
      }

      private func unbind() throws {
        let unbound = try shell("umount /proc/slabinfo", "")
        #expect(unbound.status == 0, "\(unbound.output)")
      }

      /// OBJS ACTIVE USE SIZE SLABS PER-SLAB CACHE-SIZE NAME
      private func checkSlabtop(_ screen: String, _ lines: [String: Line]) -> Set<String> {
        var met: Set<String> = []
        for row in screen.split(separator: "\n") {
          let words = row.split(separator: " ")
          guard words.count == 8, let line = lines[String(words[7])] else { continue }
          met.insert(String(words[7]))
          #expect(Int(words[0]) == line.total, "\(row)")
          #expect(Int(words[1]) == line.active, "\(row)")
          #expect(Int(words[4]) == line.slabs, "\(row)")
          #expect(Int(words[5]) == line.perSlab, "\(row)")
          let kibibytes = line.slabs * line.pages * 4
          #expect(words[6] == "\(kibibytes)K", "\(row)")
        }
        return met
      }

      @Test func slabtopOnce() throws {
        try withCaches { _, path, lines in
          try bind(path)
          defer { try? unbind() }
          let shown = try shell("slabtop -o", path)
          #expect(shown.status == 0, "\(shown.output)")
          #expect(checkSlabtop(shown.output, lines) == Set(lines.keys))
          #expect(shown.output.contains("Active / Total Caches"))
        }
      }

      /// On a terminal: sorted by name with `n`, refreshed while it runs, ended with `q`.
      @Test func slabtopOnATerminal() throws {
        try withCaches { allocator, path, before in
          try bind(path)
          defer { try? unbind() }
          let tmux = "tmux -L slab-mount-\(getpid())"
          let started = try shell(
            "\(tmux) -f /dev/null new-session -d -x 100 -y 60 'TERM=screen slabtop -d 1'", path)
          #expect(started.status == 0, "\(started.output)")
          defer { _ = try? shell("\(tmux) kill-server", path) }
          func screen(until isThere: (String) throws -> Bool) throws -> String {
            let end = Date(timeIntervalSinceNow: 60)
            var text = ""
            repeat {
              text = try shell("\(tmux) capture-pane -p", path).output
              if try isThere(text) { return text }
            } while Date() < end
            Issue.record("the screen stays as it is: \(text)")
            return text
          }
          let first = try screen { checkNames($0, before) }
          #expect(checkSlabtop(first, before) == Set(before.keys))
          _ = try shell("\(tmux) send-keys n", path)
          let sorted = try screen { text in
            let names = self.names(text, before)
            return names.count == before.count && names == names.sorted(by: >)
              || names.count == before.count && names == names.sorted()
          }
          #expect(checkSlabtop(sorted, before).count == before.count)
          // Without being started again it shows what comes.
          let cache = try RawSlabCache(named: "newcomer", objectSize: 512, of: allocator)
          let object = try unsafe cache.allocate(in: allocator.rootGroup)
          let after = try lines(of: allocator)
          let last = try screen { $0.contains("newcomer") }
          #expect(checkSlabtop(last, after).contains("newcomer"))
          unsafe cache.free(object)
          _ = try shell("\(tmux) send-keys q", path)
          let end = Date(timeIntervalSinceNow: 60)
          while try shell("\(tmux) has-session", path).status == 0, Date() < end {}
          #expect(try shell("\(tmux) has-session", path).status != 0)
        }
      }

      private func names(_ screen: String, _ lines: [String: Line]) -> [String] {
        screen.split(separator: "\n").compactMap { row in
          row.split(separator: " ").last.map(String.init).flatMap { lines[$0] == nil ? nil : $0 }
        }
      }

      private func checkNames(_ screen: String, _ lines: [String: Line]) -> Bool {
        Set(names(screen, lines)) == Set(lines.keys)
      }

      @Test func vmstat() throws {
        try withCaches { _, path, lines in
          try bind(path)
          defer { try? unbind() }
          let shown = try shell("vmstat -m", path)
          #expect(shown.status == 0, "\(shown.output)")
          var met = 0
          for row in shown.output.split(separator: "\n") {
            let words = row.split(separator: " ")
            // It cuts names off.
            guard words.count == 5,
              let (_, line) = lines.first(where: { name, line in
                name.hasPrefix(words[0]) && line.size == Int(words[3])
              })
            else { continue }
            met += 1
            #expect(Int(words[1]) == line.active && Int(words[2]) == line.total, "\(row)")
            #expect(Int(words[4]) == line.perSlab, "\(row)")
          }
          #expect(met >= lines.count - 2)
        }
      }

      @Test func nodeExporter() throws {
        try withCaches { _, path, lines in
          let shown = try shell(
            """
            port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
            prometheus-node-exporter --path.procfs=$1 --collector.disable-defaults \
              --collector.slabinfo --web.listen-address=127.0.0.1:$port 2>/dev/null &
            exporter=$!
            trap 'kill $exporter' EXIT
            for try in $(seq 600); do
              curl -sf 127.0.0.1:$port/metrics >$1.metrics && break
              sleep 0.1
            done
            grep -v '^\\(go\\|process\\|promhttp\\)_' $1.metrics
            promtool check metrics <$1.metrics >$1.problems 2>&1
            # 3: opinions about the names, which are the exporter's.
            case $? in 0 | 3) ;; *) cat $1.problems ;; esac
            rm $1.metrics $1.problems
            """, path)
          #expect(shown.output.contains("node_scrape_collector_success{collector=\"slabinfo\"} 1"))
          let fields: [(String, (Line) -> Int)] = [
            ("active_objects", \.active), ("objects", \.total), ("object_size_bytes", \.size),
            ("objects_per_slab", \.perSlab), ("pages_per_slab", \.pages),
          ]
          var met = 0
          for row in shown.output.split(separator: "\n") where !row.hasPrefix("#") {
            for (field, value) in fields {
              let start = "node_slabinfo_\(field){slab=\""
              guard row.hasPrefix(start) else { continue }
              let name = String(row.dropFirst(start.count).prefix { $0 != "\"" })
              let line = try #require(lines[name])
              #expect(Double(row.split(separator: " ").last!) == Double(value(line)), "\(row)")
              met += 1
            }
          }
          #expect(met == 5 * lines.count, "\(shown.output.suffix(500))")
        }
      }

      /// The kernel's own tool, if `.ci/run mount` has built it.
      @Test(.enabled(if: ProcessInfo.processInfo.environment["SLAB_KERNEL_SLABINFO"] != nil))
      func slabinfoOfTheKernel() throws {
        let tool = ProcessInfo.processInfo.environment["SLAB_KERNEL_SLABINFO"]!
        try withCaches { allocator, path, lines in
          let bound = try shell("mount --bind $1/slab /sys/kernel/slab", path)
          #expect(bound.status == 0, "\(bound.output)")
          defer { _ = try? shell("umount /sys/kernel/slab", path) }
          let shown = try shell(tool, path)
          #expect(shown.status == 0, "\(shown.output)")
          var met = 0
          for row in shown.output.split(separator: "\n").dropFirst() {
            let words = row.split(separator: " ")
            // Name, objects, object size, space, slabs/partial/cpu, objects a slab, order, ...
            guard words.count >= 7, let line = lines[String(words[0])] else { continue }
            met += 1
            // What the core has in hand for the reading itself, another reading does not see.
            if !words[0].hasPrefix("core:") { #expect(Int(words[1]) == line.active, "\(row)") }
            #expect(
              words[4].split(separator: "/").first.flatMap { Int($0) } == line.slabs, "\(row)")
            #expect(Int(words[5]) == line.perSlab, "\(row)")
            #expect(Int(words[6]).map { 1 << $0 } == line.pages, "\(row)")
          }
          // Those without a slab it leaves out.
          #expect(met == lines.values.count { $0.slabs > 0 }, "\(shown.output)")
          for option in ["-T", "-X", "-r", "-n", "-S", "-L"] {
            let shown = try shell("\(tool) \(option)", path)
            #expect(shown.status == 0 && !shown.output.isEmpty, "\(option): \(shown.output)")
          }
          // Aliases, of which there are none.
          let aliases = try shell("\(tool) -a", path)
          #expect(aliases.status == 0 && aliases.output == "", "\(aliases.output)")
          // It writes to `shrink`.
          let cache = try RawSlabCache(named: "to-shrink", objectSize: 1024, of: allocator)
          let objects = try unsafe (0..<100).map { _ in
            try unsafe cache.allocate(in: allocator.rootGroup)
          }
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
          try Client.write("0", to: path + "/slab/to-shrink/min_partial")
          #expect(try shell("\(tool) -s to-shrink", path).status == 0)
          #expect(try Client.text(of: path + "/slab/to-shrink/slabs") == "0\n")
        }
      }

      @Test func shellsAndTheirTools() throws {
        try withCaches { allocator, path, _ in
          let tenant = try #require(allocator.rootGroup.child(named: "tenant"))
          func says(_ script: String, _ expected: String) throws {
            let shown = try shell(script, path)
            #expect(shown.status == 0 && shown.output == expected, "\(script): \(shown.output)")
          }
          let whole = try allocator.slabinfo()
          try says("cat $1/slabinfo", whole)
          for size in [1, 7, 100, 4096, 1_000_000] {
            try says("dd if=$1/slabinfo bs=\(size) status=none", whole)
          }
          try says("tail -n +3 $1/slabinfo | wc -l", "\(whole.split(separator: "\n").count - 2)\n")
          try says("cat $1/cgroup/tenant/memory.max", "16777216\n")
          try says(
            "echo 8M > $1/cgroup/tenant/memory.max; cat $1/cgroup/tenant/memory.max", "8388608\n")
          #expect(tenant.max == 8 << 20)
          try says(
            "echo max >> $1/cgroup/tenant/memory.max; cat $1/cgroup/tenant/memory.max", "max\n")
          try says("mkdir $1/cgroup/a $1/cgroup/a/b; ls -d $1/cgroup/a/b | wc -l", "1\n")
          try says("find $1/cgroup -mindepth 1 -type d | sed 's|.*/||' | sort", "a\nb\ntenant\n")
          try says("rmdir $1/cgroup/a/b $1/cgroup/a; ls $1/cgroup | grep -cx a || :", "0\n")
          try says(
            "find $1/slab -name 'tenant:cache-1' -printf '%y\\n'; ls $1/slab | grep -c tenant:",
            "d\n20\n")
          // Everything can be read, and nothing of it twice.
          let all = try shell(
            "find $1 -type f -readable ! -name memory.reclaim -exec cat {} + | wc -l", path)
          #expect(all.status == 0 && Int(all.output.dropLast())! > 500, "\(all.output)")
          try says("find $1 | sort | uniq -d", "")
          let long = try shell("ls -lR $1", path)
          #expect(long.status == 0)
          #expect(try shell("echo x > $1/cgroup/tenant/memory.max", path).status != 0)
          #expect(
            try shell("echo x > $1/cgroup/new-file", path).output.contains("Permission denied"))
          #expect(
            try shell("rm $1/cgroup/tenant/memory.max", path).output.contains("not permitted"))
          #expect(try shell("touch $1/cgroup/tenant/memory.max", path).status == 0)
        }
      }
    }
  }
#endif
