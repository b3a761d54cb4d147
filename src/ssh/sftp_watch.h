// SFTP version 3 on its way (draft-ietf-secsh-filexfer-02): which files go where, and how much of them; what
// policy does not let through is answered here and never reaches the machine. Packets are whole before they
// go on. Each answer is known by its request's id, so no two requests of one id are under way at once, and
// what is not known to have been opened is neither read nor written.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/json.h"
#include "ssh/relay.h"

namespace merlon::ssh {

class SftpWatch final : public StreamWatch {
 public:
  struct Policy {
    bool upload = true, download = true;
  };
  // `tell` hears of each file once it is closed, and of each change of the file system.
  SftpWatch(Policy policy, std::function<void(JsonObject)> tell) : policy_(policy), tell_(std::move(tell)) {}
  std::string from_person(std::string_view bytes, std::string& answer) override;
  std::string from_machine(std::string_view bytes) override;
  void ended() override;

 private:
  struct File {
    std::string path;
    bool writes = false;
    uint64_t read_bytes = 0, written_bytes = 0;
  };
  enum class Asked { open, close, read, other };
  struct Question {
    Asked what = Asked::other;
    File file;           // open
    std::string handle;  // read, close
  };

  // What goes on of one whole packet (with its length); an answer of ours instead.
  bool passes(std::string_view packet, std::string& answer);
  std::optional<std::string> refusal(uint8_t type, std::string_view body, uint32_t& id);
  std::optional<std::string> refusal_to_open(ByteView body);
  void note_request(uint8_t type, std::string_view body);
  void note_answer(uint8_t type, std::string_view body);
  void tell_file(const File& file, bool complete);

  const Policy policy_;
  const std::function<void(JsonObject)> tell_;
  std::string in_, out_;
  std::string held_answer_;  // ours, until the machine's packet before it is whole
  bool lost_ = false;        // the stream is no SFTP: nothing goes on
  std::map<uint32_t, Question> questions_;
  std::map<std::string, File> files_;
};

}  // namespace merlon::ssh
