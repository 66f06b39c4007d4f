// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: a capacity byte, then lines; the first is parsed as a whole command line, each further
// one is a call on it. Invariants: the text fits its capacity, is printable, does not change when
// a call is refused, and parses back to itself.

#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz_input.h"
#include "vmm/linux_loader/cmdline.h"

namespace {

using namespace vmm;
using namespace vmm::linux_loader;

std::string_view next_line(std::string_view* rest) {
  const std::size_t end = std::min(rest->find('\n'), rest->size());
  const std::string_view line = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return line;
}

Result<void, CmdlineError> call(Cmdline& cmdline, std::string_view line) {
  if (line.empty()) return {};
  const char kind = line[0];
  line.remove_prefix(1);
  const std::size_t split = std::min(line.find('='), line.size());
  const std::string_view key = line.substr(0, split);
  const std::string_view value = line.substr(std::min(split + 1, line.size()));
  const std::string_view list[] = {value, key, value};
  switch (kind) {
    case 'k':
      return cmdline.insert(key, value);
    case 'l':
      return cmdline.insert_list(key, std::span(list).first(value.size() % 4));
    case 'i':
      return cmdline.append_init(line);
    case 'v':
      return cmdline.add_virtio_mmio({.size = line.size() << (line.size() % 60),
                                      .base = GuestAddress(~std::uint64_t{0} / (line.size() + 1)),
                                      .irq = static_cast<std::uint32_t>(line.size())});
    default:
      return cmdline.append(line);
  }
}

void check(const Cmdline& cmdline) {
  const std::string text = cmdline.text();
  require(text.size() == cmdline.size());
  require(text.size() < cmdline.capacity());
  for (const char c : text) require(c >= ' ' && c <= '~');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t capacity = data[0];
  auto parsed = Cmdline::parse(next_line(&rest), capacity);
  if (!parsed) return 0;
  const auto again = Cmdline::parse(parsed->text(), capacity);
  require(again && again->boot_args() == parsed->boot_args());
  require(again->init_args() == parsed->init_args());
  while (!rest.empty()) {
    const std::string before = parsed->text();
    const auto result = call(*parsed, next_line(&rest));
    if (!result) require(parsed->text() == before);
    check(*parsed);
  }
  return 0;
}
