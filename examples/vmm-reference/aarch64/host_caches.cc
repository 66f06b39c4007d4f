// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_caches.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include "../option_value.h"

namespace vmm::reference::aarch64 {
namespace {

using arch::aarch64::Cache;

constexpr unsigned kMostCaches = 16;
constexpr std::uint32_t kMostLevels = 7;
constexpr std::uint32_t kPrivateLevels = 2;

std::string read_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// A number, or a size such as 64K.
std::optional<std::uint32_t> read_number(const std::string& path) {
  const auto value = parse_bytes(read_word(path));
  if (!value || *value == 0 || *value > 0xffff'ffff) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

std::optional<Cache::Kind> read_kind(const std::string& path) {
  const std::string word = read_word(path);
  if (word == "Data") return Cache::Kind::kData;
  if (word == "Instruction") return Cache::Kind::kInstruction;
  if (word == "Unified") return Cache::Kind::kUnified;
  return std::nullopt;
}

std::optional<Cache> read_cache(const std::string& folder) {
  const auto level = read_number(folder + "/level");
  const auto kind = read_kind(folder + "/type");
  const auto bytes = read_number(folder + "/size");
  const auto line = read_number(folder + "/coherency_line_size");
  const auto sets = read_number(folder + "/number_of_sets");
  if (!level || !kind || !bytes || !line || !sets || *level > kMostLevels) return std::nullopt;
  return Cache{.level = *level,
               .kind = *kind,
               .bytes = *bytes,
               .line_bytes = *line,
               .sets = *sets,
               .vcpus = *level <= kPrivateLevels ? 1u : 0u};
}

}  // namespace

std::vector<Cache> host_caches(const std::string& folder) {
  std::vector<Cache> caches;
  for (unsigned i = 0; i < kMostCaches; ++i) {
    const auto cache = read_cache(folder + "/index" + std::to_string(i));
    if (!cache || (cache->level > 1 && cache->kind != Cache::Kind::kUnified)) continue;
    const bool known = std::any_of(caches.begin(), caches.end(), [&](const Cache& other) {
      return other.level == cache->level && other.kind == cache->kind;
    });
    if (!known) caches.push_back(*cache);
  }
  return caches;
}

}  // namespace vmm::reference::aarch64
