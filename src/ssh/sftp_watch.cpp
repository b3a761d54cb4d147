// The packets of version 3. What is not in the list of requests that we know is answered "unsupported": an
// extension that copies or links could otherwise do what policy refuses.
#include "ssh/sftp_watch.h"

#include <algorithm>
#include <array>

#include "ssh/wire.h"

namespace merlon::ssh {
namespace {

constexpr size_t kPacketBytesMax = 256 * 1024 + 1024;  // OpenSSH's own bound
constexpr size_t kQuestionsMax = 4096;
constexpr size_t kFilesMax = 1024;
constexpr size_t kPathBytesMax = 4096;
constexpr size_t kHandleBytesMax = 256;  // the draft's own bound, section 6.1
constexpr size_t kHeldAnswerMax = 64 * 1024;

enum : uint8_t {
  kInit = 1,
  kVersion = 2,
  kOpen = 3,
  kClose = 4,
  kRead = 5,
  kWrite = 6,
  kLstat = 7,
  kFstat = 8,
  kSetstat = 9,
  kFsetstat = 10,
  kOpendir = 11,
  kReaddir = 12,
  kRemove = 13,
  kMkdir = 14,
  kRmdir = 15,
  kRealpath = 16,
  kStat = 17,
  kRename = 18,
  kReadlink = 19,
  kSymlink = 20,
  kStatus = 101,
  kHandle = 102,
  kData = 103,
  kExtended = 200,
};

constexpr uint32_t kOpenRead = 1, kOpenWrite = 2, kOpenAppend = 4, kOpenCreate = 8, kOpenTruncate = 16;
constexpr uint32_t kPermissionDenied = 3, kUnsupported = 8;

bool changes_files(uint8_t type) {
  static constexpr std::array kTypes = {kWrite, kSetstat, kFsetstat, kRemove,
                                        kMkdir, kRmdir,   kRename,   kSymlink};
  return std::ranges::find(kTypes, type) != kTypes.end();
}

std::string_view change_name(uint8_t type) {
  switch (type) {
    case kSetstat:
      return "setstat";
    case kRemove:
      return "remove";
    case kMkdir:
      return "mkdir";
    case kRmdir:
      return "rmdir";
    case kRename:
      return "rename";
    case kSymlink:
      return "symlink";
    default:
      return "";
  }
}

bool is_harmless_extension(std::string_view name) {
  static constexpr std::array<std::string_view, 7> kNames = {"statvfs@openssh.com",
                                                             "fstatvfs@openssh.com",
                                                             "fsync@openssh.com",
                                                             "limits@openssh.com",
                                                             "expand-path@openssh.com",
                                                             "home-directory",
                                                             "users-groups-by-id@openssh.com"};
  return std::ranges::find(kNames, name) != kNames.end();
}

std::string status_packet(uint32_t id, uint32_t code, std::string_view message) {
  WireWriter body;
  body.byte(kStatus).number32(id).number32(code).string(message).string("");
  return std::string(as_text(WireWriter().string(body.bytes()).bytes()));
}

// The size of the first packet with its length; 0: not whole yet; nothing: it is none.
std::optional<size_t> whole_packet(std::string_view bytes) {
  if (bytes.size() < 4) return 0;
  WireReader reader(as_bytes(bytes));
  const uint32_t length = reader.number32();
  if (length == 0 || length > kPacketBytesMax) return std::nullopt;
  return bytes.size() < length + 4 ? 0 : length + 4;
}

}  // namespace

std::string SftpWatch::from_person(std::string_view bytes, std::string& answer) {
  std::string onward;
  if (lost_) return onward;
  in_ += bytes;
  for (;;) {
    const auto size = whole_packet(in_);
    if (!size) lost_ = true;
    if (!size || *size == 0) break;
    const std::string_view packet = std::string_view(in_).substr(0, *size);
    std::string ours;
    if (passes(packet, ours)) onward += packet;
    // Never into the middle of a packet of the machine's.
    if (!ours.empty()) (out_.empty() ? answer : held_answer_) += ours;
    if (held_answer_.size() > kHeldAnswerMax) lost_ = true;  // whose packet never ends
    in_.erase(0, *size);
  }
  return onward;
}

std::string SftpWatch::from_machine(std::string_view bytes) {
  std::string onward;
  if (lost_) return onward;
  out_ += bytes;
  for (;;) {
    const auto size = whole_packet(out_);
    if (!size) lost_ = true;
    if (!size || *size == 0) break;
    const std::string_view packet = std::string_view(out_).substr(0, *size);
    note_answer(static_cast<uint8_t>(packet[4]), packet.substr(5));
    onward += packet;
    onward += std::exchange(held_answer_, {});
    out_.erase(0, *size);
  }
  return onward;
}

bool SftpWatch::passes(std::string_view packet, std::string& answer) {
  const auto type = static_cast<uint8_t>(packet[4]);
  const std::string_view body = packet.substr(5);
  if (type == kInit) return true;
  uint32_t id = 0;
  if (const auto why = refusal(type, body, id)) {
    const bool unsupported = why->empty();
    answer = status_packet(id, unsupported ? kUnsupported : kPermissionDenied,
                           unsupported ? "The bastion does not know this request." : *why);
    return false;
  }
  note_request(type, body);
  return true;
}

std::optional<std::string> SftpWatch::refusal(uint8_t type, std::string_view body, uint32_t& id) {
  WireReader reader(as_bytes(body));
  id = reader.number32();
  if (reader.failed() || questions_.size() >= kQuestionsMax) return "";
  if (questions_.contains(id)) return "A request of this number has not been answered yet.";
  const bool known = type >= kOpen && type <= kSymlink;
  if (type == kExtended) {
    const std::string name = reader.text(256);
    if (name == "posix-rename@openssh.com" || name == "lsetstat@openssh.com")
      return policy_.upload ? std::nullopt
                            : std::optional<std::string>("The bastion's policy lets no file be changed.");
    return is_harmless_extension(name) ? std::nullopt : std::optional<std::string>("");
  }
  if (!known) return "";
  if (type == kOpen)
    if (auto why = refusal_to_open(reader.rest())) return why;
  if (changes_files(type) && !policy_.upload) return "The bastion's policy lets no file be changed.";
  // A file that was opened to be written to could be read by some servers all the same.
  if (type == kRead && !policy_.download)
    return "The bastion's policy lets no file be fetched from the machine.";
  if ((type == kRead || type == kWrite) && !files_.contains(reader.text(kHandleBytesMax)))
    return "The bastion has seen no such file opened.";
  // What is on the record is the path.
  if (!change_name(type).empty() && reader.text(kPathBytesMax).empty()) return "";
  return std::nullopt;
}

std::optional<std::string> SftpWatch::refusal_to_open(ByteView body) {
  WireReader reader(body);
  const std::string path = reader.text(kPathBytesMax);
  const uint32_t flags = reader.number32();
  if (reader.failed() || files_.size() >= kFilesMax) return "";
  const bool writes = (flags & (kOpenWrite | kOpenAppend | kOpenCreate | kOpenTruncate)) != 0;
  const bool reads = (flags & kOpenRead) != 0;
  if ((!writes || policy_.upload) && (!reads || policy_.download)) return std::nullopt;
  tell_({{"path", path}, {"direction", writes ? "upload" : "download"}, {"refused", true}});
  return writes && !policy_.upload ? "The bastion's policy lets no file be sent to the machine."
                                   : "The bastion's policy lets no file be fetched from the machine.";
}

void SftpWatch::note_request(uint8_t type, std::string_view body) {
  WireReader reader(as_bytes(body));
  Question& question = questions_[reader.number32()];
  if (type == kOpen) {
    question.what = Asked::open;
    question.file.path = reader.text(kPathBytesMax);
    question.file.writes = (reader.number32() & (kOpenWrite | kOpenAppend)) != 0;
  } else if (type == kClose || type == kRead) {
    question.what = type == kClose ? Asked::close : Asked::read;
    question.handle = reader.text(kHandleBytesMax);
  } else if (type == kWrite) {
    const auto file = files_.find(reader.text(kHandleBytesMax));
    reader.number64();
    const size_t size = reader.string(kPacketBytesMax).size();
    if (file != files_.end()) file->second.written_bytes += size;
  } else if (const std::string_view change = change_name(type); !change.empty()) {
    JsonObject facts{{"change", change}, {"path", reader.text(kPathBytesMax)}};
    if (type == kRename || type == kSymlink) facts["to"] = reader.text(kPathBytesMax);
    tell_(std::move(facts));
  } else if (type == kExtended && reader.text(256) == "posix-rename@openssh.com") {
    std::string from = reader.text(kPathBytesMax);
    tell_({{"change", "rename"}, {"path", std::move(from)}, {"to", reader.text(kPathBytesMax)}});
  }
}

void SftpWatch::note_answer(uint8_t type, std::string_view body) {
  if (type == kVersion) return;
  WireReader reader(as_bytes(body));
  const auto found = questions_.find(reader.number32());
  if (found == questions_.end()) return;
  const Question question = std::move(found->second);
  questions_.erase(found);
  if (question.what == Asked::open && type == kHandle) {
    files_[reader.text(kHandleBytesMax)] = question.file;
  } else if (question.what == Asked::read && type == kData) {
    const auto file = files_.find(question.handle);
    if (file != files_.end()) file->second.read_bytes += reader.string(kPacketBytesMax).size();
  } else if (question.what == Asked::close) {
    const auto file = files_.find(question.handle);
    if (file == files_.end()) return;
    tell_file(file->second, true);
    files_.erase(file);
  }
}

void SftpWatch::tell_file(const File& file, bool complete) {
  if (file.writes)
    tell_({{"path", file.path},
           {"direction", "upload"},
           {"bytes", file.written_bytes},
           {"complete", complete}});
  if (!file.writes || file.read_bytes > 0)
    tell_(
        {{"path", file.path}, {"direction", "download"}, {"bytes", file.read_bytes}, {"complete", complete}});
}

void SftpWatch::ended() {
  for (const auto& [handle, file] : files_) tell_file(file, false);
  files_.clear();
}

}  // namespace merlon::ssh
