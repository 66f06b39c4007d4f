// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Lets the device tree compiler judge blobs and make them.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace vmm::arch::aarch64::testing {

struct Compiled {
  std::string messages;  ///< warnings and errors; empty: none
  std::string output;
};

/// Runs dtc over `input`; nullopt where there is none.
inline std::optional<Compiled> dtc(const std::string& arguments, std::string_view input) {
  namespace fs = std::filesystem;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): tests have one thread
  if (std::system("command -v dtc >/dev/null 2>&1") != 0) return std::nullopt;
  std::string name = (fs::temp_directory_path() / "vmm-dtc-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return std::nullopt;
  const fs::path dir = name;
  std::ofstream(dir / "in", std::ios::binary).write(input.data(), static_cast<long>(input.size()));
  const std::string command = "cd " + name + " && dtc " + arguments + " -o out in >log 2>&1";
  const int status = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
  const auto read = [&dir](const char* file) {
    std::ifstream in(dir / file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  Compiled compiled{.messages = read("log"), .output = read("out")};
  if (status != 0 && compiled.messages.empty()) compiled.messages = "dtc failed";
  fs::remove_all(dir);
  return compiled;
}

inline std::optional<Compiled> decompile(std::span<const std::byte> blob) {
  return dtc("-I dtb -O dts", {reinterpret_cast<const char*>(blob.data()), blob.size()});
}

}  // namespace vmm::arch::aarch64::testing
