// SPDX-License-Identifier: Apache-2.0
// The head of a line and the fields of an event, however their texts try to look like others.

import SlabTestSupport
import Testing

@testable import SlabTool

private func readHead(_ line: String) -> (pid: Int, event: String, fields: String)? {
  let bytes = Array(line.utf8)
  guard let head = EventHead(bytes.span) else { return nil }
  return (
    head.pid, bytes.span.text(head.event), bytes.span.text(head.fields..<bytes.count)
  )
}

private func event(_ text: String) throws -> RecordedEvent {
  let bytes = Array(text.utf8)
  let head = EventHead(bytes.span)
  return RecordedEvent(bytes.span, head: try #require(head))
}

@Suite(.inTurn) struct EventHeadTests {
  @Test(arguments: [
    "            bash-3383    [000] d..1.  1382.762022: kfree: ptr=1",
    "            bash-3383    [000] d..1  1382.762022: kfree: ptr=1",
    "            bash-3383    [000]  1382.762022: kfree: ptr=1",
    "            bash-3383    [000] dNh2. 1382.762022: kfree: ptr=1",
    "            bash-3383    [000] d..h1.1 1382.762022: kfree: ptr=1",
    "            bash-3383    (-----) [001] d..1  1382.762022: kfree: ptr=1",
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
    "            bash-9999999999 [000] 1.0: kfree: ",
    "            bash-1 [000] muchtoolong 1.0: e: ",
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

  @Test(arguments: [
    "            bash  3383 [000]  2615.224560:                kmem:kfree: ptr=1",
    "bash 3383 [000] 2615.224560: kmem:kfree: ptr=1",
    "bash 3383 [000] kmem:kfree: ptr=1", "bash 3383 2615.224560: kmem:kfree: ptr=1",
    "bash 3383 kmem:kfree: ptr=1", "bash 3382/3383 [000]  2615.2: kmem:kfree: ptr=1",
    "            bash    3383 [000]  2615.224560:          1 kmem:kfree: ptr=1",
    "3383 [000] 2615.224560: kmem:kfree: ptr=1",
    "     kworker/0:1 3383 [000]  2615.2: kmem:kfree: ptr=1",
    "   a 12 [000] b c 3383 [000]  2615.2: kmem:kfree: ptr=1",
  ])
  func everyFormOfAPerfHead(_ line: String) throws {
    #expect(try #require(readHead(line)) == (3383, "kfree", "ptr=1"))
  }

  @Test(arguments: [
    ("            :-1    -1 [000]  1.0: kmem:kfree: ptr=1", 0),
    ("bash 7 [000]  1.0: PERF_RECORD_LOST lost 5", 7),
  ])
  func perfTasksThatAreNone(_ line: String, _ pid: Int) throws {
    #expect(try #require(readHead(line)).pid == pid)
  }

  @Test(arguments: [
    "bash 3383 [000] 1.0: kfree: ptr=1", "bash 3383 kmem:kfree", "bash kmem:kfree: ptr=1",
    "\tffffffff8128d1a4 getname_flags+0x24 ([kernel.kallsyms])", "bash 3383/ kmem:kfree: ",
    "averyveryverylongcomm 3383 kmem:kfree: ptr=1",
  ])
  func noPerfHead(_ line: String) {
    #expect(readHead(line) == nil)
  }

  @Test func functionTracer() {
    let head = readHead("bash-1 [000] .....  1.0: mutex_unlock <-rb_simple_write")
    #expect(head?.event == "mutex_unlock")
  }
}

@Suite(.inTurn) struct RecordedEventTests {
  private func allocation(_ fields: String) throws -> (RecordedEvent.Allocation, String?)? {
    let text = "bash-1 [000] 1.0: \(fields)"
    guard case .allocation(let found) = try event(text) else { return nil }
    return switch found.cache {
    case .name(let range), .callSite(let range): (found, Array(text.utf8).span.text(range))
    case .size: (found, nil)
    }
  }

  @Test func anAllocationNamesItsCache() throws {
    let found = try #require(
      try allocation(
        "kmem_cache_alloc: call_site=ext4_a+0x1/0x2 [ext4] ptr=ffff888100e23000 name=a cache "
          + "bytes_req=96 bytes_alloc=104 gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 accounted=true"))
    #expect(found.0.address == .object(0xffff_8881_00e2_3000))
    #expect(found.1 == "a cache")
    #expect((found.0.requestedBytes, found.0.bytes) == (96, 104))
    #expect(found.0.charge == .accounted(true))
  }

  @Test(arguments: [
    ("kmem_cache_alloc", "ext4_a+0x1/0x2 [ext4]"), ("kmem_cache_alloc_node", "ffffffff8128d1a4"),
    ("kmalloc", nil), ("kmalloc_node", nil),
  ])
  func anAllocationThatDoesNot(_ name: String, _ site: String?) throws {
    let found = try #require(
      try allocation(
        "\(name): (a+0x24) call_site=\(site ?? "a") ptr=0xffff888100e23000 bytes_req=96 "
          + "bytes_alloc=104 gfp_flags=GFP_KERNEL node=0"))
    #expect(found.1 == site)
    #expect(found.0.charge == .flags(false))
  }

  @Test(
    arguments: [
      ("GFP_KERNEL", .flags(false)), ("GFP_KERNEL|__GFP_ACCOUNT node=-1", .flags(true)),
      ("GFP_KERNEL_ACCOUNT", .flags(true)), ("GFP_NOFS|GFP_NOACCOUNT", .flags(false)),
      ("0", .flags(false)), ("0x400cc0", .unknown), ("3264", .unknown),
      ("GFP_KERNEL_ACCOUNT node=-1 accounted=false", .accounted(false)),
      ("GFP_KERNEL node=-1 accounted=1", .accounted(true)),
      ("0xcc0 (3264) node=0xffffffff (-1) accounted=(0)", .accounted(false)),
      ("0xcc0 (3264) node=0xffffffff (-1) accounted=(1)", .accounted(true)),
    ] as [(String, RecordedEvent.Allocation.Charge)])
  func whoIsCharged(_ flags: String, _ charge: RecordedEvent.Allocation.Charge) throws {
    let found = try allocation(
      "kmalloc: call_site=a ptr=1 bytes_req=0x8 (8) bytes_alloc=8 gfp_flags=\(flags)")
    #expect(found?.0.charge == charge)
  }

  @Test(
    arguments: [
      ("ffff888248d64a00", .object(0xffff_8882_48d6_4a00)),
      ("0xffff888248d64a00", .object(0xffff_8882_48d6_4a00)),
      ("0xffff888248d64a00 (-131386)", .object(0xffff_8882_48d6_4a00)),
      ("00000000c0ffee01", .object(0xc0ff_ee01)), ("0000000000000000", .null), ("0x0", .null),
      ("(null)", .null), ("          (null)", .null), ("(nil)", .null),
      ("(____ptrval____)", .untold), ("(efault)", .untold), ("        (ptrval)", .untold),
    ] as [(String, KernelAddress)])
  func addresses(_ text: String, _ address: KernelAddress) throws {
    let call = "call_site=a+0x1/0x2 [mod] ptr=\(text)"
    for fields in ["kfree: \(call)", "kmem_cache_free: (a+0x1) \(call) name=dentry"] {
      #expect(try event("bash-1 [000] 1.0: \(fields)") == .free(address: address))
    }
    let found = try allocation(
      "kmalloc: \(call) bytes_req=8 bytes_alloc=8 gfp_flags=0 accounted=true")
    #expect(found?.0.address == address)
  }

  @Test(
    arguments: [
      ("cgroup_rmdir: root=4 id=27128 level=2 path=/a id=5", .groupRemoved(root: 4, id: 27128)),
      (
        "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/a pid=3 comm=bash",
        .attach(pid: 3, root: 4, group: 9)
      ),
      (
        "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/a pid=3 comm=b pid=4 comm=c",
        .attach(pid: 3, root: 4, group: 9)
      ),
      (
        "cgroup_attach_task: dst_root=4 dst_id=9 dst_level=2 dst_path=/job pid=8 comm=no pid=3 "
          + "comm=bash", .attach(pid: 3, root: 4, group: 9)
      ),
      (
        "cgroup_attach_task: dst_root=0x4 (4) dst_level=0x2 (2) dst_id=0x9 (9) pid=0x3 (3) "
          + "dst_path=/a pid=5 comm=bash", .attach(pid: 3, root: 4, group: 9)
      ),
      (
        "cgroup_rmdir: root=0x4 (4) level=0x2 (2) id=0x9 (9) path=/a", .groupRemoved(root: 4, id: 9)
      ),
      ("sched_process_fork: comm=a pid=3 child_comm=a child_pid=4", .fork(child: 4)),
      (
        "sched_process_fork: parent_comm=a parent_pid=0x3 (3) child_comm=a child_pid=0x4 (4)",
        .fork(child: 4)
      ),
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
    "cgroup_mkdir: id=3 level=2 path=/a", "kfree: call_site=a ptr=(nul",
    "kfree: call_site=a ptr=0x",
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

  @Test(arguments: [
    "kmem_cache_alloc: call_site=a ptr=1 name=b bytes_req=8 bytes_alloc= accounted=true",
    "kmem_cache_alloc: call_site=a ptr=1 name= bytes_req=8 bytes_alloc=8 gfp_flags=0 accounted=true",
    "kmem_cache_alloc: call_site=a ptr=1 bytes_req=8 bytes_alloc=8 gfp_fl",
    "kmem_cache_alloc: ptr=1 bytes_req=8 bytes_alloc=8 gfp_flags=0", "kmalloc_node: call_site=a",
    "kmalloc: call_site=a ptr=1 bytes_req=8 bytes_alloc=8 gfp_flags=0 accounted=maybe",
  ])
  func malformedAllocation(_ text: String) throws {
    #expect(try event("bash-1 [000] 1.0: \(text)") == .malformedAllocation)
  }
}
