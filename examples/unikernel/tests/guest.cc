// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A unikernel for the test of examples/unikernel: says what its command line is, reads a line from
// its virtio console, says it backwards, and ends. No libraries, no interrupts, no libc; the MMU is
// as the VMM has left it. It finds its console by "virtio_mmio.device=" in the command line.

#include <cstddef>
#include <cstdint>

extern "C" void guest_main(const char* boot_data);
extern "C" void* memset(void* to, int value, std::size_t bytes) {
  auto* at = static_cast<volatile unsigned char*>(to);
  while (bytes-- != 0) *at++ = static_cast<unsigned char>(value);
  return to;
}

#if defined(__x86_64__)
// Long mode, RSI is the zero page.
asm(".pushsection .text.start, \"ax\"\n"
    ".globl _start\n"
    "_start:\n"
    "  lea stack_end(%rip), %rsp\n"
    "  mov %rsi, %rdi\n"
    "  call guest_main\n"
    "  ud2\n"
    ".popsection\n");
#else
// EL1 with the MMU off, X0 is the device tree.
asm(".pushsection .text.start, \"ax\"\n"
    ".globl _start\n"
    "_start:\n"
    "  adrp x1, stack_end\n"
    "  add x1, x1, :lo12:stack_end\n"
    "  mov sp, x1\n"
    "  bl guest_main\n"
    "  brk #0\n"
    ".popsection\n");
#endif
asm(".pushsection .bss\n"
    ".balign 4096\n"
    ".skip 16384\n"
    ".globl stack_end\n"
    "stack_end:\n"
    ".popsection\n");

namespace {

#if defined(__x86_64__)
const char* command_line(const char* zero_page) {
  constexpr std::size_t kCmdLinePtr = 0x228;
  return reinterpret_cast<const char*>(
      std::uintptr_t{*reinterpret_cast<const std::uint32_t*>(zero_page + kCmdLinePtr)});
}
// The VMM has mapped the first GiB to itself; 2 MiB more are the console's.
void map_console(std::uintptr_t address) {
  alignas(4096) static volatile std::uint64_t directory[512];
  constexpr std::uint64_t kAddress = 0x000f'ffff'ffff'f000;
  constexpr std::uint64_t kPresent = 1, kWritable = 2, kUncached = 1 << 4, kLarge = 1 << 7;
  std::uint64_t root = 0;
  asm volatile("mov %%cr3, %0" : "=r"(root));
  const auto* level4 = reinterpret_cast<const volatile std::uint64_t*>(root & kAddress);
  auto* level3 = reinterpret_cast<volatile std::uint64_t*>(level4[0] & kAddress);
  directory[address >> 21 & 511] =
      (address >> 21 << 21) | kPresent | kWritable | kUncached | kLarge;
  level3[address >> 30 & 511] = reinterpret_cast<std::uintptr_t>(directory) | kPresent | kWritable;
  asm volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}
void end() { asm volatile("outb %0, %1" : : "a"(std::uint8_t{0xfe}), "Nd"(std::uint16_t{0x64})); }
/// A fault without handlers for it, three times.
void crash() {
  const struct [[gnu::packed]] {
    std::uint16_t limit;
    std::uint64_t base;
  } none{};
  asm volatile("lidt %0\n\tud2" : : "m"(none));
}
void barrier() { asm volatile("mfence" : : : "memory"); }
#else
bool begins(const char* text, const char* word) {
  while (*word != '\0') {
    if (*text++ != *word++) return false;
  }
  return true;
}
// /chosen/bootargs is the one property that begins so.
const char* command_line(const char* tree) {
  while (!begins(tree, "guest=")) ++tree;
  return tree;
}
void end() {
  register std::uint64_t function asm("x0") = 0x8400'0008;  // SYSTEM_OFF of PSCI
  asm volatile("hvc #0" : "+r"(function) : : "memory");
}
void map_console(std::uintptr_t) {}
void crash() {
  register std::uint64_t function asm("x0") = 0x8400'0009;  // SYSTEM_RESET
  asm volatile("hvc #0" : "+r"(function) : : "memory");
}
void barrier() { asm volatile("dsb sy" : : : "memory"); }
#endif

/// Behind '@' in hexadecimal, as virtio_mmio.device=4K@0x...:5 has it.
std::uintptr_t console_address(const char* line) {
  while (*line != '@') ++line;
  std::uintptr_t address = 0;
  for (line += 3; *line != ':'; ++line) {
    const unsigned digit = static_cast<unsigned>(*line <= '9' ? *line - '0' : *line - 'a' + 10);
    address = address << 4 | digit;
  }
  return address;
}

// The driver's side of virtio 1.3: 4.2.2 for the registers, 2.7 for the rings.
constexpr unsigned kSize = 4;
struct Descriptor {
  std::uint64_t address;
  std::uint32_t bytes;
  std::uint16_t flags, next;
};
struct Queue {
  alignas(16) volatile Descriptor descriptors[kSize];
  struct {
    volatile std::uint16_t flags, index, ring[kSize];
  } available;
  struct {
    alignas(4) volatile std::uint16_t flags;
    volatile std::uint16_t index;
    struct {
      volatile std::uint32_t id, bytes;
    } ring[kSize];
  } used;
};
Queue queues[2];
char buffer[256];
std::uintptr_t registers;

void write_register(std::uintptr_t at, std::uint32_t value) {
  *reinterpret_cast<volatile std::uint32_t*>(registers + at) = value;
}
std::uint32_t low(const volatile void* at) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(at));
}

void start_console() {
  write_register(0x070, 0);
  write_register(0x070, 1 | 2);
  write_register(0x024, 1);
  write_register(0x020, 1);  // VERSION_1
  write_register(0x024, 0);
  write_register(0x020, 0);
  write_register(0x070, 1 | 2 | 8);
  for (unsigned i = 0; i < 2; ++i) {
    write_register(0x030, i);
    write_register(0x038, kSize);
    write_register(0x080, low(queues[i].descriptors));
    write_register(0x090, low(&queues[i].available));
    write_register(0x0a0, low(&queues[i].used));
    write_register(0x044, 1);
  }
  write_register(0x070, 1 | 2 | 8 | 4);
}

/// One buffer, until the device has used it; how many bytes were written to it.
std::uint32_t exchange(unsigned index, const char* at, std::uint32_t bytes) {
  Queue& queue = queues[index];
  queue.descriptors[0].address = reinterpret_cast<std::uintptr_t>(at);
  queue.descriptors[0].bytes = bytes;
  queue.descriptors[0].flags = index == 0 ? 2 : 0;  // the device writes to the receive queue's
  const std::uint16_t before = queue.used.index;
  queue.available.ring[queue.available.index % kSize] = 0;
  barrier();
  queue.available.index = static_cast<std::uint16_t>(queue.available.index + 1);
  barrier();
  write_register(0x050, index);
  while (queue.used.index == before) barrier();
  barrier();
  return queue.used.ring[before % kSize].bytes;
}

void say(const char* text, std::uint32_t bytes) { (void)exchange(1, text, bytes); }
void say(const char* text) {
  std::uint32_t bytes = 0;
  while (text[bytes] != '\0') ++bytes;
  say(text, bytes);
}

}  // namespace

void guest_main(const char* boot_data) {
  const char* const line = command_line(boot_data);
  if (line[6] == '!') crash();  // "guest=!"
  registers = console_address(line);
  map_console(registers);
  start_console();
  say("command line: ");
  say(line);
  say("\n");
  std::uint32_t read = 0;
  while (read == 0 || buffer[read - 1] != '\n') {
    read += exchange(0, buffer + read, sizeof(buffer) - read);
  }
  for (std::uint32_t i = read - 1; i != 0; --i) say(&buffer[i - 1], 1);
  say("\n");
  end();
  for (;;) barrier();
}
