// Connecting, recognising, signing in.
#include "ssh/machine_end.h"

#include <algorithm>

#include "base/text.h"
#include "ssh/algorithms.h"
#include "ssh/certificate.h"
#include "ssh/machine_sign_in.h"

namespace merlon::ssh {
namespace {

constexpr long kTimeoutS = 15;
constexpr size_t kMessagesAtOnce = 64;

std::unexpected<Error> refused(std::string code, std::string message) {
  return fail(ErrorKind::unavailable, std::move(code), std::move(message));
}

std::string error_of(ssh_session session) {
  const char* text = ssh_get_error(session);
  std::string out;
  for (const char c : std::string_view(text == nullptr ? "" : text).substr(0, 200))
    if (c >= ' ' && c <= '~') out += c;
  return out;
}

std::vector<PublicKey> known_keys(const JsonObject& admitted) {
  std::vector<PublicKey> keys;
  if (const JsonArray* lines = array_at(admitted, "hostKeys"))
    for (const Json& line : *lines)
      if (line.is_string())
        if (auto key = PublicKey::from_line(line.as_string())) keys.push_back(*std::move(key));
  return keys;
}

// Only the kinds of which a key is known may be shown: another kind's key would look like a changed one.
std::string host_key_algorithms(const std::vector<PublicKey>& keys) {
  std::vector<std::string> kinds;
  for (const PublicKey& key : keys) {
    const std::string kind = key.kind() == "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : key.kind();
    if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
  }
  return join(kinds, ",");
}

bool set(ssh_session session, ssh_options_e option, const std::string& value) {
  return ssh_options_set(session, option, value.c_str()) == SSH_OK;
}

Result<void> prepare(ssh_session session, int socket, const std::string& login,
                     const std::string& host_keys) {
  const int no = 0;
  const long timeout = kTimeoutS;
  const bool good =
      ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) == SSH_OK &&
      ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &timeout) == SSH_OK &&
      set(session, SSH_OPTIONS_SSH_DIR, "/") && set(session, SSH_OPTIONS_KNOWNHOSTS, "/none") &&
      set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/none") && set(session, SSH_OPTIONS_HOST, "machine") &&
      set(session, SSH_OPTIONS_USER, login) && set(session, SSH_OPTIONS_HOSTKEYS, host_keys) &&
      set(session, SSH_OPTIONS_KEY_EXCHANGE, algorithms::kKeyExchange) &&
      set(session, SSH_OPTIONS_CIPHERS_C_S, algorithms::kCiphers) &&
      set(session, SSH_OPTIONS_CIPHERS_S_C, algorithms::kCiphers) &&
      set(session, SSH_OPTIONS_HMAC_C_S, algorithms::kMacs) &&
      set(session, SSH_OPTIONS_HMAC_S_C, algorithms::kMacs) && set(session, SSH_OPTIONS_COMPRESSION, "no") &&
      ssh_options_set(session, SSH_OPTIONS_FD, &socket) == SSH_OK;
  if (!good) return internal_error("the session to the machine could not be set up: " + error_of(session));
  return {};
}

Result<void> recognise_key(ssh_session session, const std::vector<PublicKey>& keys,
                           const std::string& machine) {
  ssh_key shown = nullptr;
  if (ssh_get_server_publickey(session, &shown) != SSH_OK)
    return refused("NoHostKey", "The machine '" + machine + "' shows no host key.");
  const KeyHandle key(shown);
  char* text = nullptr;
  if (ssh_pki_export_pubkey_base64(shown, &text) != SSH_OK)
    return refused("NoHostKey", "The machine '" + machine + "' shows no host key.");
  const auto blob = from_base64(text);
  ssh_string_free_char(text);
  if (blob && std::ranges::any_of(keys, [&](const PublicKey& each) { return each.blob() == *blob; }))
    return {};
  const auto read = PublicKey::from_blob(blob.value_or(Bytes()));
  return refused(
      "HostKeyChanged",
      "The host key of '" + machine + "' is none of those that are known of it (it shows " +
          (read ? read->fingerprint() : std::string("another kind of key")) +
          "). Somebody may stand between the bastion and the machine, so nothing was sent to it. If the "
          "machine was set up anew, its agent reports the new key: merlon ssh host-keys " +
          machine);
}

Result<KeyHandle> credential(const JsonObject& admitted) {
  const std::string pem = string_at(admitted, "privateKey").value_or("");
  const std::string line = string_at(admitted, "certificate").value_or("");
  ssh_key key = nullptr;
  ssh_key certificate = nullptr;
  if (ssh_pki_import_privkey_base64(pem.c_str(), nullptr, nullptr, nullptr, &key) != SSH_OK)
    return internal_error("the key for the machine cannot be read");
  KeyHandle owned(key);
  const auto parts = split(line, ' ');
  if (parts.size() < 2 || ssh_pki_import_cert_base64(std::string(parts[1]).c_str(),
                                                     ssh_key_type_from_name(std::string(parts[0]).c_str()),
                                                     &certificate) != SSH_OK)
    return internal_error("the certificate for the machine cannot be read");
  const KeyHandle owned_certificate(certificate);
  if (ssh_pki_copy_cert_to_privkey(certificate, key) != SSH_OK)
    return internal_error("the certificate for the machine does not fit its key");
  return owned;
}

}  // namespace

MachineEnd::~MachineEnd() {
  if (session_) ssh_disconnect(session_.get());
}

Result<MachineEnd> MachineEnd::recognise(Descriptor socket, const JsonObject& admitted,
                                         const std::string& login) {
  const std::string machine = string_at(admitted, "machine").value_or("the machine");
  const auto keys = known_keys(admitted);
  if (keys.empty())
    return refused("HostKeyNotKnown",
                   "The host key of '" + machine +
                       "' is not known yet: its agent has not reported it, and the bastion trusts "
                       "no key at first sight.");
  MachineEnd end{SessionHandle(ssh_new())};
  ssh_session session = end.session();
  if (session == nullptr) return internal_error("out of memory");
  TRY(prepare(session, socket.get(), login, host_key_algorithms(keys)));
  socket.release();  // libssh closes it
  if (ssh_connect(session) != SSH_OK) {
    const std::string error = error_of(session);
    if (error.find("kex error") != std::string::npos && error.find("host") != std::string::npos)
      return refused("HostKeyChanged",
                     "The host key of '" + machine +
                         "' is of another kind than those that are known of it. Nothing was "
                         "sent to it. See 'merlon ssh host-keys " +
                         machine + "'.");
    return refused("MachineNotReached",
                   "The SSH server of '" + machine + "' does not answer as it should: " + error);
  }
  TRY(recognise_key(session, keys, machine));
  return end;
}

Result<void> MachineEnd::sign_in(const MachineSecret& secret, const std::string& machine,
                                 const std::string& login) {
  TRY(sign_in_by_secret(session(), secret, machine, login));
  ssh_set_blocking(session(), 0);
  return {};
}

Result<MachineEnd> MachineEnd::open(Descriptor socket, const JsonObject& admitted, const std::string& login) {
  const std::string machine = string_at(admitted, "machine").value_or("the machine");
  MachineEnd end = TRY(recognise(std::move(socket), admitted, login));
  if (bool_at(admitted, "isSignedIn").value_or(false)) {
    if (ssh_userauth_none(end.session(), nullptr) != SSH_AUTH_SUCCESS)
      return internal_error("the way to the machine is shut: " + error_of(end.session()));
  } else {
    const KeyHandle key = TRY(credential(admitted));
    if (ssh_userauth_publickey(end.session(), nullptr, key.get()) != SSH_AUTH_SUCCESS)
      return refused(
          "MachineRefusedLogin",
          "The machine '" + machine + "' does not let '" + login +
              "' in by Merlon's certificate. Is there such a login, and does its sshd trust Merlon's "
              "authority? 'merlon machine show " +
              machine + "' says what its agent has set up.");
  }
  ssh_set_blocking(end.session(), 0);
  return end;
}

void MachineEnd::step() {
  // A machine asks for nothing that the bastion grants: forwards towards the person, or another kind of
  // session.
  for (size_t count = 0; count < kMessagesAtOnce; ++count) {
    const MessageHandle message(ssh_message_get(session()));
    if (!message) return;
    // One of a channel may be of one that has been freed since, and libssh would read it to refuse.
    if (ssh_message_type(message.get()) != SSH_REQUEST_CHANNEL) ssh_message_reply_default(message.get());
  }
}

ssh_channel MachineEnd::open_session() {
  const Waiting waiting(*this);
  ssh_channel channel = ssh_channel_new(session());
  if (channel == nullptr) return nullptr;
  if (ssh_channel_open_session(channel) == SSH_OK) return channel;
  ssh_channel_free(channel);
  return nullptr;
}

ssh_channel MachineEnd::open_forward(const std::string& host, uint16_t port) {
  const Waiting waiting(*this);
  ssh_channel channel = ssh_channel_new(session());
  if (channel == nullptr) return nullptr;
  if (ssh_channel_open_forward(channel, host.c_str(), port, "127.0.0.1", 0) == SSH_OK) return channel;
  ssh_channel_free(channel);
  return nullptr;
}

}  // namespace merlon::ssh
