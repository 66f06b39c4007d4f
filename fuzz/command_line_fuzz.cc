// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A command line, an argument a line: it is refused with a text for its user, or understood as a
// VM whose JSON means the same VM.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "options.h"
#include "vm_json.h"

namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::reference;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find('\0') != text.npos) return 0;  // no argument has one
  const std::vector<std::string> arguments = lines_of(text);
  const auto reads_file = [](std::string_view word) { return word.starts_with("--config"); };
  if (std::ranges::any_of(arguments, reads_file)) return 0;
  const auto invocation = parse_command_line(arguments);
  if (!invocation) {
    const Failure& failure = invocation.error();
    if (failure.kind != Failure::Kind::kUsage || failure.message.empty()) std::abort();
    return 0;
  }
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (!invocation->vmm.vm || !std::ranges::all_of(text, is_ascii)) return 0;
  VmConfig vm = *invocation->vmm.vm;
  for (NetConfig& net : vm.nets) net.fds.clear();  // JSON hands over no descriptors
  const std::string shown = vm_json(vm);
  const auto again = parse_vm_json(shown);
  if (!again || vm_json(*again) != shown) std::abort();
  return 0;
}
