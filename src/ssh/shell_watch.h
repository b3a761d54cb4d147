// A forward on its way, where what people do is on the record: a shell in there would be on none. SSH says
// what it is before it is encrypted (RFC 4253, section 4.2), whatever port it is at, and is known by that.
// Who runs a server of their own on the machine can hide what it speaks; what is kept from being a way around
// the record is the sshd that machines have anyway, at any port.
#pragma once

#include <functional>
#include <string>

#include "ssh/relay.h"

namespace merlon::ssh {

class ShellWatch final : public StreamWatch {
 public:
  // `found` is called once. What has said "SSH-" gets no further: neither that piece nor anything after it
  // goes on, either way.
  explicit ShellWatch(std::function<void()> found) : found_(std::move(found)) {}
  std::string from_person(std::string_view bytes, std::string& answer) override;
  std::string from_machine(std::string_view bytes) override;
  void ended() override {}
  std::string_view objection() const override;

 private:
  // How far one side's beginning has been looked at.
  struct Beginning {
    std::string line;  // the first bytes of the one that it is in
    size_t seen = 0;
    bool done = false;  // it is no identification, and none can follow
  };
  // True when an identification stands in it. `lines`: others may come before it.
  static bool looks_like_ssh(Beginning& beginning, std::string_view bytes, bool lines);
  std::string pass(Beginning& beginning, std::string_view bytes, bool lines);

  const std::function<void()> found_;
  Beginning person_, machine_;
  bool is_shell_ = false;
};

}  // namespace merlon::ssh
