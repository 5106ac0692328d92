// SPDX-License-Identifier: Apache-2.0
// Takes the place of __tsan_external_write under ThreadSanitizer (ld --wrap). The Swift compiler calls it
// for each argument that is passed inout, and the sanitizer reports two of them at once as a "Swift access
// race". Here such an argument is the address of a field that is guarded or atomic: the loads and stores
// behind it are instrumented themselves, and data races of theirs are reported.
void __wrap___tsan_external_write(void *address, void *caller, void *tag) {
  (void)address;
  (void)caller;
  (void)tag;
}
