// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "option_keys.h"
#include "options.h"
#include "pages.h"

// Options that are not offered are not proposed.

namespace vmm::reference {
namespace {

constexpr std::string_view kHead =
    "# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause\n"
    "# Written by vmm-reference-pages from the table of options: not to be edited.\n";

std::vector<OptionInfo> offered_options() {
  std::vector<OptionInfo> options = all_options();
  std::erase_if(options, [](const OptionInfo& option) { return !option.offered; });
  return options;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

// Options whose value is the path of a file.
bool takes_path(const OptionInfo& option) { return option.help.starts_with("PATH"); }
// The same of keys. An API socket may be a bare path too, but the file is not there yet.
bool takes_path(const OptionKey& key) { return is_one_of(key.name, {"path", "file", "socket"}); }
bool is_mode(const OptionKey& key) { return is_one_of(key.name, {"off", "null", "pty", "tty"}); }

// "boot= max=": keys as one types them, ours for tests and the hidden ones left out.
std::string words_of(std::string_view option) {
  std::string words;
  for (const OptionKey& key : keys_of(option)) {
    if (!key.offered || key.name.starts_with('_')) continue;
    if (!words.empty()) words += ' ';
    words += key.name;
    if (!is_mode(key)) words += '=';
  }
  if (option == "transport") return "pci mmio";
  return words;
}

// The first line of the help, as a description; quotes and brackets would be grammar of the shells.
std::string description(const OptionInfo& option) {
  std::string text;
  const std::string_view help = option.help.substr(0, option.help.find('\n'));
  for (const char c : help) {
    if (c == '\'' || c == '"' || c == '`' || c == '$' || c == '\\') continue;
    text += c == '[' || c == ']' || c == ':' ? ' ' : c;
  }
  return text;
}

}  // namespace

std::string bash_completion() {
  std::string options = "-h -V -v";
  std::string paths;
  std::string cases;
  for (const OptionInfo& option : offered_options()) {
    const std::string name = "--" + std::string(option.name);
    options += " " + name;
    if (takes_path(option)) paths += (paths.empty() ? "" : "|") + name;
    const std::string words = words_of(option.name);
    if (!words.empty()) cases += "    " + name + ") echo '" + words + "' ;;\n";
  }
  return std::string(kHead) + R"bash(# shellcheck shell=bash disable=SC2207

# What the value of an option may say.
_vmm_reference_words() {
  case $1 in
)bash" + cases +
         R"bash(  esac
}

_vmm_reference() {
  local line=${COMP_LINE:0:COMP_POINT} cur option='' before part i
  cur=${line##*[[:space:]]}
  for ((i = COMP_CWORD; i > 0; --i)); do
    case ${COMP_WORDS[i]} in
      --*)
        option=${COMP_WORDS[i]}
        break
        ;;
    esac
  done
  COMPREPLY=()
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W ')bash" +
         options + R"bash(' -- "$cur"))
    return
  fi
  case $option in
    )bash" +
         paths +
         R"bash()
      COMPREPLY=($(compgen -f -- "$cur"))
      return
      ;;
  esac
  # bash replaces what stands behind the last "=" only.
  part=${cur##*,}
  before=${cur%"$part"}
  before=${before##*=}
  case $part in
    path=* | file=* | socket=*) COMPREPLY=($(compgen -f -- "${part#*=}")) ;;
    *=*) ;;
    *)
      COMPREPLY=($(compgen -P "$before" -W "$(_vmm_reference_words "$option")" -- "$part"))
      compopt -o nospace 2>/dev/null
      ;;
  esac
}

complete -F _vmm_reference vmm-reference
)bash";
}

std::string zsh_completion() {
  std::string functions;
  std::string specs;
  for (const OptionInfo& option : offered_options()) {
    const std::string name(option.name);
    const std::string function = "_vmm_reference_" + name;
    std::string action;
    if (takes_path(option)) {
      action = "_files";
    } else if (!keys_of(option.name).empty()) {
      action = function;
      functions += function + "() {\n  _values -s , -S = 'key'";
      for (const OptionKey& key : keys_of(option.name)) {
        if (!key.offered || key.name.starts_with('_')) continue;
        functions += " \\\n    '" + std::string(key.name) +
                     (is_mode(key)      ? "'"
                      : takes_path(key) ? ": :_files'"
                                        : ": : '");
      }
      functions += "\n}\n";
    } else if (name == "transport") {
      action = "(pci mmio)";
    }
    const bool many = option.arity == Arity::kMany;
    specs +=
        " \\\n    '" + std::string(many ? "*" : "") + "--" + name + "[" + description(option) + "]";
    if (option.arity == Arity::kMaybe) specs += "::value:" + action;
    if (option.arity == Arity::kOne || many) specs += ":value:" + action;
    specs += "'";
  }
  return "#compdef vmm-reference\n" + std::string(kHead) + "\n" + functions +
         "\n_vmm_reference() {\n  _arguments '*-v[log more]'" + specs +
         "\n}\n\n_vmm_reference \"$@\"\n";
}

std::string fish_completion() {
  std::string text(kHead);
  text += "complete -c vmm-reference -f\ncomplete -c vmm-reference -s v -d 'log more'\n";
  for (const OptionInfo& option : offered_options()) {
    text += "complete -c vmm-reference -l " + std::string(option.name);
    if (option.name == "help") text += " -s h";
    if (option.name == "version") text += " -s V";
    const std::string words = words_of(option.name);
    if (takes_path(option)) {
      text += " -r -F";
    } else if (option.name == "transport") {
      text += " -x -a '" + words + "'";
    } else if (!words.empty()) {
      text += " -x -a '(__fish_append , " + words + ")'";
    } else if (option.arity == Arity::kOne) {
      text += " -x";
    }
    text += " -d '" + description(option) + "'\n";
  }
  return text;
}

}  // namespace vmm::reference
