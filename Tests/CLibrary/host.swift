// SPDX-License-Identifier: Apache-2.0
// A Swift program with the archive linked into it: the library's parts of the language's runtime are its own, and
// those of the program are the program's.

final class Node {
  let text: String
  let next: Node?

  init(_ text: String, _ next: Node?) {
    self.text = text
    self.next = next
  }
}

var tenant: OpaquePointer?
guard slab_group_create(nil, "host", 1 << 20, &tenant) == SLAB_OK else { fatalError("no group") }
var first: Node?
for index in 0..<1000 { first = Node("a text that is too long for its place \(index)", first) }
_ = slab_group_enter(tenant)
let block = slab_allocate(nil, 100, nil)
guard block != nil, slab_group_usage(tenant) == 4096 else { fatalError("not charged") }
slab_free(block)
_ = slab_group_enter(nil)
var count = 0
while let node = first {
  count += node.text.count
  first = node.next
}
slab_group_drop(tenant)
print("host: \(count)")
