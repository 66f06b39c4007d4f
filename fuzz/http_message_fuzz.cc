// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The bytes of an API client, in pieces: the first byte of the input is their size. However they
// are cut, the same requests come out, and nothing is kept beyond the limits.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http_message.h"

namespace {

using namespace vmm::reference;

struct Talk {
  std::vector<std::string> requests;
  int error = -1;
};

Talk run(std::string_view text, std::size_t piece) {
  HttpParser parser;
  Talk talk;
  std::string input;
  while (!text.empty()) {
    const std::size_t n = std::min(piece, text.size());
    input += text.substr(0, n);
    text.remove_prefix(n);
    for (;;) {
      auto got = parser.take(input);
      if (!got) {
        talk.error = static_cast<int>(got.error());
        return talk;
      }
      if (input.size() > HttpParser::kMaxHeaderBytes + piece) std::abort();
      if (!*got) break;
      if ((*got)->body.size() > HttpParser::kMaxBodyBytes) std::abort();
      talk.requests.push_back((*got)->target + '\n' + (*got)->body);
    }
  }
  return talk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Talk cut = run(text, std::size_t{data[0]} + 1);
  const Talk whole = run(text, text.size() + 1);
  if (cut.requests != whole.requests) std::abort();
  return 0;
}
