// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "greeting.h"

#include <charconv>

namespace vmm::virtio_vsock {
namespace {

constexpr std::string_view kWord = "connect";
constexpr std::string_view kBlanks = " \t\r";
constexpr std::uint32_t kAnyPort = 0xffff'ffff;

bool starts_with_word(std::string_view text) {
  for (std::size_t i = 0; i < kWord.size(); ++i) {
    if (i == text.size()) return true;  // until now
    if ((text[i] | 0x20) != kWord[i]) return false;
  }
  return true;
}

std::optional<std::uint32_t> parse_port(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == 0 || begin == std::string_view::npos) return std::nullopt;
  text = text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
  std::uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == kAnyPort) {
    return std::nullopt;
  }
  return port;
}

}  // namespace

GreetingState parse_greeting(std::string_view text, Greeting* greeting) {
  if (!starts_with_word(text)) return GreetingState::kBad;
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) {
    return text.size() < kMaxGreeting ? GreetingState::kPartial : GreetingState::kBad;
  }
  if (end < kWord.size() || end >= kMaxGreeting) return GreetingState::kBad;
  const auto port = parse_port(text.substr(kWord.size(), end - kWord.size()));
  if (!port) return GreetingState::kBad;
  *greeting = {.port = *port, .bytes = end + 1};
  return GreetingState::kDone;
}

}  // namespace vmm::virtio_vsock
