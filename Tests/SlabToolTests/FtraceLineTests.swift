// The head of a line and the fields of an event, however their texts try to look like others.

import SlabTestSupport
import Testing

@testable import SlabTool

private func readHead(_ line: String) -> (pid: Int, event: String, fields: String)? {
  let bytes = Array(line.utf8)
  guard let head = FtraceLine(bytes.span) else { return nil }
  return (
    head.pid, bytes.span.text(head.event), bytes.span.text(head.fields..<bytes.count)
  )
}

private func event(_ text: String) throws -> RecordedEvent {
  let bytes = Array(text.utf8)
  let head = FtraceLine(bytes.span)
  return RecordedEvent(bytes.span, head: try #require(head))
}

@Suite(.inTurn) struct FtraceLineTests {
  @Test(arguments: [
    "            bash-3383    [000] d..1.  1382.762022: kfree: ptr=1",
    "            bash-3383    [000] d..1  1382.762022: kfree: ptr=1",
    "            bash-3383    [000]  1382.762022: kfree: ptr=1",
    "            bash-3383    [000] dNh2. 1382.762022: kfree: ptr=1",
    "            bash-3383    (   3383) [001] .....  1382.762022: kfree: ptr=1",
    "            bash-3383    (-------) [001] .....  1382.762022: kfree: ptr=1",
    "            bash-3383    [127] d..1.  84123719472: kfree: ptr=1",
    "bash-3383 [000] ..... 1.0: kfree: ptr=1",
    "  bash-3383  [000]  1382.762022: kfree:                ptr=1",
  ])
  func everyFormOfAHead(_ line: String) throws {
    let head = readHead(line)
    #expect(try #require(head) == (3383, "kfree", "ptr=1"))
  }

  @Test(arguments: [
    "<idle>", "kworker/1:1", "memfd:sealed-91", "a b", "a-1 [000] b", "-", "", "[001]", " x",
    "x-5 [000] ....", "1.0: kfree: ", "ünï",
  ])
  func everyComm(_ comm: String) throws {
    let padded = try #require(readHead(Line.event("kfree: ptr=1", comm: comm, pid: 42)))
    #expect(padded == (42, "kfree", "ptr=1\n"))
    let bare = try #require(readHead("\(comm)-42 [000] ..... 1.0: kfree: ptr=1"))
    #expect(bare == (42, "kfree", "ptr=1"))
  }

  @Test(arguments: [
    "", " ", "hello", "hello world - 7", "            bash-", "            bash-3383",
    "            bash-3383    [000]", "            bash-3383    [000] d..1.  1382.76",
    "            bash-3383    [000] d..1.  1382.762022: ", "            bash-x [000] 1.0: kfree: ",
    "            bash-9999999999 [000] 1.0: kfree: ", "            bash-1 [000] toolong 1.0: e: ",
    "            bash-1 [x] 1.0: e: ", "            bash-1 (12 [0] 1.0: e: ",
  ])
  func noHead(_ line: String) {
    #expect(readHead(line) == nil)
  }

  @Test(arguments: ["a-1 [000] ..... 1.0: kfree: ptr=", "            bash-1  [0] 1.0: kfree: "])
  func fieldsThatImitateAHead(_ start: String) {
    let head = readHead(start + "x-2 [000] ..... 1.0: kfree: ptr=1")
    #expect(head?.pid == 1)
  }

  @Test func functionTracer() {
    let head = readHead("bash-1 [000] .....  1.0: mutex_unlock <-rb_simple_write")
    #expect(head?.event == "mutex_unlock")
  }
}

@Suite(.inTurn) struct RecordedEventTests {
  @Test func allocation() throws {
    let line = Line.event(
      "kmem_cache_alloc: call_site=ext4_a+0x1/0x2 [ext4] ptr=ffff888100e23000 name=a cache "
        + "bytes_req=96 bytes_alloc=104 gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 accounted=true")
    let text = String(line.dropLast())
    let event = try event(text)
    guard case .allocation(let address, let cache, 96, 104, true) = event else {
      Issue.record("\(event)")
      return
    }
    #expect(address == 0xffff_8881_00e2_3000)
    #expect(Array(text.utf8).span.text(cache) == "a cache")
  }

  @Test(
    arguments: [
      ("kfree: call_site=a+0x1/0x2 ptr=ffff888248d64a00", 0xffff_8882_48d6_4a00),
      ("kfree: call_site=a+0x1/0x2 [mod] ptr=0xffff888248d64a00", 0xffff_8882_48d6_4a00),
      ("kfree: call_site=a ptr=(null)", 0),
      ("kmem_cache_free: call_site=a ptr=00000000c0ffee01 name=dentry", 0xc0ff_ee01),
    ] as [(String, UInt64)])
  func free(_ text: String, _ address: UInt64) throws {
    #expect(try event("bash-1 [000] 1.0: \(text)") == .free(address: address))
  }

  @Test(
    arguments: [
      ("cgroup_rmdir: root=4 id=27128 level=2 path=/a id=5", .groupRemoved(id: 27128)),
      (
        "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/a pid=3 comm=bash",
        .attach(pid: 3, group: 9)
      ),
      (
        "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/a pid=3 comm=b pid=4 comm=c",
        .attach(pid: 3, group: 9)
      ),
      (
        "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/job pid=8 comm=no pid=3 "
          + "comm=bash", .attach(pid: 3, group: 9)
      ),
      ("sched_process_fork: comm=a pid=3 child_comm=a child_pid=4", .fork(child: 4)),
      (
        "sched_process_fork: comm=a pid=3 child_comm=c child_pid=9 child_pid=4",
        .fork(child: 4)
      ),
      ("sched_process_exit: comm=a pid=3 prio=120 group_dead=true", .exit),
      ("sched_switch: prev_comm=a", .unknown),
      ("kfreeze: ptr=1", .unknown),
    ] as [(String, RecordedEvent)])
  func others(_ text: String, _ expected: RecordedEvent) throws {
    #expect(try event("bash-1 [000] 1.0: \(text)") == expected)
  }

  @Test(arguments: [
    "kfree:", "kfree: call_site=a", "kfree: call_site=a ptr=", "kfree: call_site=a ptr=xyz",
    "kfree: call_site=a ptr=11112222333344445", "kmem_cache_free: call_site=a ptr=12g name=a",
    "kmem_cache_alloc: call_site=a ptr=1 name=b bytes_req=8 bytes_alloc=8 gfp_flags=0 node=-1",
    "kmem_cache_alloc: call_site=a ptr=1 name=b bytes_req=8 bytes_alloc= accounted=true",
    "kmem_cache_alloc: call_site=a ptr=1 name= bytes_req=8 bytes_alloc=8 accounted=true",
    "kmem_cache_alloc: call_site=a ptr=1 bytes_req=8 bytes_alloc=8 gfp_flags=GFP_KERNEL",
    "kmem_cache_alloc: call_site=a ptr=1 name=b bytes_req=8 bytes_alloc=8 accounted=maybe",
    "cgroup_mkdir: root=4 id= level=2 path=/a", "cgroup_mkdir: root=4 id=3 level=2 path=",
    "cgroup_mkdir: root=4 id=3", "cgroup_rmdir: root=4 level=2 path=/a",
    "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/a pid=x comm=bash",
    "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/a pid=99999999 comm=bash",
    "sched_process_fork: comm=a pid=3 child_comm=a child_pid=99999999999999999999999",
    "sched_process_fork: comm=a pid=3 child_comm=a child_pid=4x",
  ])
  func malformed(_ text: String) throws {
    #expect(try event("bash-1 [000] 1.0: \(text)") == .malformed)
  }
}
