// See rdp_gateway.h. All numbers are little-endian; texts are UTF-16 with their length in bytes before them.
#include "services/bastion/rdp_gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace merlon::bastion {
namespace {

// MS-TSGU section 2.2.5.3.1, HTTP_PACKET_TYPE.
enum Packet : uint16_t {
  kHandshakeRequest = 0x1,
  kHandshakeResponse = 0x2,
  kTunnelCreate = 0x4,
  kTunnelResponse = 0x5,
  kTunnelAuthorization = 0x6,
  kTunnelAuthorizationResponse = 0x7,
  kChannelCreate = 0x8,
  kChannelResponse = 0x9,
  kData = 0xA,
  kServiceMessage = 0xB,
  kKeepAlive = 0xD,
  kCloseChannel = 0x10,
  kCloseChannelResponse = 0x11,
};

constexpr uint16_t kExtendedAuthPaa = 0x2;         // HTTP_EXTENDED_AUTH: "pluggable", by a token
constexpr uint16_t kHasPaaCookie = 0x1;            // HTTP_TUNNEL_PACKET_FIELDS_PRESENT_FLAGS
constexpr uint16_t kHasReauth = 0x2;               // likewise
constexpr uint32_t kShowsServiceMessages = 0x8;    // HTTP_CAPABILITY_TYPE
constexpr uint32_t kRedirectAll = 0x80000000;      // HTTP_TUNNEL_REDIR_FLAGS: what the client's user chose
constexpr uint32_t kTunnelId = 1, kChannelId = 1;  // there is one of each in a WebSocket
constexpr size_t kHeader = 8;
constexpr size_t kPacketMax = kHeader + 2 + 0xFFFF;  // the longest of data; no other may be longer
constexpr size_t kDataMax = 32 * 1024;               // of ours
constexpr size_t kTargetMax = 255;
constexpr size_t kTokenMax = 1024;
constexpr size_t kNoticeMax = 1000;

// HRESULTs of gateways (MS-TSGU section 2.2.6): clients have a sentence for each.
constexpr uint32_t kInternalError = 0x800759D8;
constexpr uint32_t kAccessDenied = 0x800759DA;
constexpr uint32_t kConnectFailed = 0x800759DD;
constexpr uint32_t kCookieDenied = 0x800759F8;
constexpr uint32_t kUnsupportedAuthentication = 0x800759F9;
constexpr uint32_t kMaxConnectionsReached = 0x000059E6;

uint32_t code_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::unauthenticated:
      return kCookieDenied;
    case ErrorKind::throttled:
      return kMaxConnectionsReached | 0x80070000;  // HRESULT_FROM_WIN32
    case ErrorKind::unavailable:
      return error.code == "ConnectFailed" ? kConnectFailed : kInternalError;
    case ErrorKind::internal:
      return kInternalError;
    default:
      return kAccessDenied;
  }
}

void put(std::string& out, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i));
}

std::string packet_of(uint16_t type, std::string_view body) {
  std::string out;
  out.reserve(kHeader + body.size());
  put(out, type, 2);
  put(out, 0, 2);
  put(out, kHeader + body.size(), 4);
  return out.append(body);
}

uint32_t number_at(std::string_view bytes, size_t at, size_t count) {
  uint32_t number = 0;
  for (size_t i = 0; i < count; ++i)
    number |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  return number;
}

std::unexpected<Error> wrong(std::string_view what) {
  return fail(ErrorKind::invalid, "ProtocolError",
              fmt::format("The Remote Desktop client's {} is not what MS-TSGU says it is.", what));
}

// The rest of a packet, from front to back. Nothing once there is too little.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}
  std::optional<uint32_t> number(size_t bytes) {
    if (rest_.size() < bytes) return std::nullopt;
    const uint32_t number = number_at(rest_, 0, bytes);
    rest_.remove_prefix(bytes);
    return number;
  }
  bool skip(size_t bytes) {
    if (rest_.size() < bytes) return false;
    rest_.remove_prefix(bytes);
    return true;
  }
  // Tokens and names of machines are ASCII. Clients count the zero at the end or not.
  std::optional<std::string> text(size_t most) {
    const auto bytes = number(2);
    if (!bytes || *bytes % 2 != 0 || rest_.size() < *bytes || *bytes / 2 > most + 1) return std::nullopt;
    std::string text;
    for (size_t i = 0; i < *bytes; i += 2) {
      const uint32_t unit = number_at(rest_, i, 2);
      if (unit == 0 && i + 2 == *bytes) break;
      if (unit < 0x21 || unit > 0x7E) return std::nullopt;
      text += static_cast<char>(unit);
    }
    rest_.remove_prefix(*bytes);
    return text;
  }

 private:
  std::string_view rest_;
};

// Of a sentence of ours; what is not ASCII becomes a question mark.
std::string utf16(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kNoticeMax)) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte & 0xC0) == 0x80) continue;  // goes on with a character that has its mark already
    put(out, byte < 0x80 ? byte : '?', 2);
  }
  return out;
}

}  // namespace

Result<net::TunnelDialog::Step> RdpGatewayDialog::take(std::string_view bytes) {
  Step step;
  partial_.append(bytes);
  std::string_view rest = partial_;
  while (rest.size() >= kHeader && !step.over) {
    const size_t length = number_at(rest, 4, 4);
    if (length < kHeader || length > kPacketMax) return wrong("packet");
    if (rest.size() < length) break;
    TRY(packet(static_cast<uint16_t>(number_at(rest, 0, 2)), rest.substr(kHeader, length - kHeader), step));
    rest.remove_prefix(length);
  }
  partial_.erase(0, partial_.size() - rest.size());
  return step;
}

Result<void> RdpGatewayDialog::packet(uint16_t type, std::string_view body, Step& step) {
  if (type == kKeepAlive) return {};  // some clients answer an answer, without end
  if (type == kCloseChannel || type == kCloseChannelResponse) return leave(step);
  switch (state_) {
    case State::greeting:
      return type == kHandshakeRequest ? greet(body, step) : wrong("first packet");
    case State::tunnel:
      return type == kTunnelCreate ? make_tunnel(body, step) : wrong("packet after the greeting");
    case State::authorization:
      return type == kTunnelAuthorization ? authorize(body, step) : wrong("packet after the tunnel's");
    case State::channel:
      return type == kChannelCreate ? name_channel(body, step) : wrong("packet after the authorization");
    case State::open: {
      if (type != kData) return wrong("packet in a channel");
      if (body.size() < 2 || number_at(body, 0, 2) != body.size() - 2) return wrong("packet of data");
      step.to_target += body.substr(2);
      return {};
    }
    case State::asked:
    case State::over:
      break;
  }
  return wrong("packet, which came before the answer,");
}

Result<void> RdpGatewayDialog::greet(std::string_view body, Step& step) {
  Fields fields(body);
  const auto major = fields.number(1);
  const bool complete = fields.skip(3);  // the minor version, and the client's
  const auto authentication = fields.number(2);
  if (!major || !complete || !authentication) return wrong("greeting");
  const bool good = *major == 1 && (*authentication & kExtendedAuthPaa) != 0;
  std::string answer;
  put(answer, good ? 0 : kUnsupportedAuthentication, 4);
  put(answer, 1, 1);  // version 1.0
  put(answer, 0, 1);
  put(answer, 0, 2);
  put(answer, kExtendedAuthPaa, 2);
  step.to_client += packet_of(kHandshakeResponse, answer);
  step.over = !good;
  state_ = good ? State::tunnel : State::over;
  return {};
}

Result<void> RdpGatewayDialog::make_tunnel(std::string_view body, Step& step) {
  Fields fields(body);
  const auto capabilities = fields.number(4);
  const auto present = fields.number(2);
  if (!capabilities || !present || !fields.skip(2)) return wrong("request for a tunnel");
  if ((*present & kHasReauth) != 0 && !fields.skip(8)) return wrong("request for a tunnel");
  if ((*present & kHasPaaCookie) != 0) {
    auto token = fields.text(kTokenMax);
    if (!token) return wrong("token");
    wish_.token = *std::move(token);
  }
  shows_messages_ = (*capabilities & kShowsServiceMessages) != 0;
  const bool good = !wish_.token.empty();
  std::string answer;
  put(answer, 0, 2);
  put(answer, good ? 0 : kCookieDenied, 4);
  put(answer, good ? 0x3 : 0, 2);  // the tunnel's id and our capabilities follow
  put(answer, 0, 2);
  if (good) {
    put(answer, kTunnelId, 4);
    put(answer, *capabilities & kShowsServiceMessages, 4);
  }
  step.to_client += packet_of(kTunnelResponse, answer);
  step.over = !good;
  state_ = good ? State::authorization : State::over;
  return {};
}

// The client's own name stands in it, and proves nothing.
Result<void> RdpGatewayDialog::authorize(std::string_view body, Step& step) {
  if (body.size() < 4) return wrong("request for authorization");
  std::string answer;
  put(answer, 0, 4);
  put(answer, 0x3, 2);  // redirection flags and idle time follow
  put(answer, 0, 2);
  put(answer, kRedirectAll, 4);
  put(answer, 0, 4);  // the bastion ends idle sessions itself
  step.to_client += packet_of(kTunnelAuthorizationResponse, answer);
  state_ = State::channel;
  return {};
}

Result<void> RdpGatewayDialog::name_channel(std::string_view body, Step& step) {
  Fields fields(body);
  const auto names = fields.number(1);
  const bool complete = fields.skip(1);  // how many further names there are
  const auto port = fields.number(2);
  const auto protocol = fields.number(2);  // 3: RDP
  auto target = complete && names && *names >= 1 && port && protocol ? fields.text(kTargetMax) : std::nullopt;
  if (!target || target->empty() || *protocol != 3) return wrong("request for a channel");
  wish_.target = *std::move(target);
  wish_.port = static_cast<uint16_t>(*port);
  step.asks = true;
  state_ = State::asked;
  return {};
}

Result<void> RdpGatewayDialog::leave(Step& step) {
  std::string answer;
  put(answer, 0, 4);
  if (state_ == State::open) step.to_client += packet_of(kCloseChannelResponse, answer);
  step.over = true;
  state_ = State::over;
  return {};
}

std::string RdpGatewayDialog::opened(const Error* refused) {
  std::string answer;
  put(answer, refused == nullptr ? 0 : code_of(*refused), 4);
  put(answer, refused == nullptr ? 0x1 : 0, 2);  // the channel's id follows
  put(answer, 0, 2);
  if (refused == nullptr) put(answer, kChannelId, 4);
  state_ = refused == nullptr ? State::open : State::over;
  return packet_of(kChannelResponse, answer);
}

std::string RdpGatewayDialog::frames(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + (bytes.size() / kDataMax + 1) * (kHeader + 2));
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kDataMax);
    bytes.remove_prefix(part.size());
    put(out, kData, 2);
    put(out, 0, 2);
    put(out, kHeader + 2 + part.size(), 4);
    put(out, part.size(), 2);
    out += part;
  }
  return out;
}

std::string RdpGatewayDialog::notice(std::string_view text) {
  if (!shows_messages_) return {};
  const std::string units = utf16(text);
  std::string body;
  put(body, units.size(), 2);
  return packet_of(kServiceMessage, body + units);
}

std::string RdpGatewayDialog::farewell() {
  if (state_ != State::open) return {};
  state_ = State::over;
  std::string body;
  put(body, 0, 4);
  return packet_of(kCloseChannel, body);
}

}  // namespace merlon::bastion
