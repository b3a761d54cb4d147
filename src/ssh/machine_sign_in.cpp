// RFC 4252 (public key, password), RFC 4256 (keyboard-interactive).
#include "ssh/machine_sign_in.h"

#include "base/bytes.h"

namespace merlon::ssh {
namespace {

constexpr int kRoundsMax = 8;

// As C's functions want it.
Secret terminated(const Secret& secret) {
  Bytes bytes;
  bytes.reserve(secret.size() + 1);
  bytes.assign(secret.expose().begin(), secret.expose().end());
  bytes.push_back(0);
  return Secret(std::move(bytes));
}
const char* text_of(const Secret& ended) { return reinterpret_cast<const char*>(ended.expose().data()); }

struct Names {
  const std::string& machine;
  const std::string& login;
};

std::unexpected<Error> refused(const Names& names, std::string_view what, std::string_view more) {
  return fail(ErrorKind::unavailable, "MachineRefusedSecret",
              "The machine '" + names.machine + "' does not let '" + names.login + "' in by the " +
                  std::string(what) + " that is set for it" + std::string(more));
}

Result<void> verdict(int answer, const Names& names, std::string_view what) {
  switch (answer) {
    case SSH_AUTH_SUCCESS:
      return {};
    case SSH_AUTH_PARTIAL:
      return refused(names, what, " alone: it asks for more than that.");
    case SSH_AUTH_DENIED:
      return refused(names, what, ". Whoever looks after it can set the right one in the vault.");
    default:
      return fail(ErrorKind::unavailable, "MachineNotReached",
                  "The machine '" + names.machine + "' has closed the connection while '" + names.login +
                      "' was signed in there.");
  }
}

Result<void> by_key(ssh_session session, const MachineSecret& secret, const Names& names) {
  const Secret text = terminated(secret.private_key), phrase = terminated(secret.passphrase);
  ssh_key key = nullptr;
  if (ssh_pki_import_privkey_base64(text_of(text), secret.passphrase.empty() ? nullptr : text_of(phrase),
                                    nullptr, nullptr, &key) != SSH_OK)
    return fail(ErrorKind::unavailable, "KeyNotUsable",
                "The key that is set for '" + names.login + "' on '" + names.machine +
                    "' cannot be read: it is no private key in OpenSSH's form or PEM, or its passphrase is "
                    "another one.");
  const KeyHandle owned(key);
  return verdict(ssh_userauth_publickey(session, nullptr, key), names, "key");
}

// The machine may ask a person several things, in several rounds. The password answers one question that is
// hidden, alone, and comes first; whoever asks anything else gets no answer.
Result<void> by_answering(ssh_session session, const Secret& password, const Names& names) {
  bool answered = false;
  int answer = ssh_userauth_kbdint(session, nullptr, nullptr);
  for (int round = 0; answer == SSH_AUTH_INFO && round < kRoundsMax; ++round) {
    const int questions = ssh_userauth_kbdint_getnprompts(session);
    if (questions != 0) {
      char shown = 1;
      if (questions != 1 || answered || ssh_userauth_kbdint_getprompt(session, 0, &shown) == nullptr ||
          shown != 0)
        return refused(names, "password", " alone: it asks for more than that.");
      answered = true;
      if (ssh_userauth_kbdint_setanswer(session, 0, text_of(password)) != 0)
        return internal_error("a question of the machine could not be answered");
    }
    answer = ssh_userauth_kbdint(session, nullptr, nullptr);
  }
  if (answer == SSH_AUTH_INFO) return refused(names, "password", " alone: it asks again and again.");
  return verdict(answer, names, "password");
}

}  // namespace

Result<void> sign_in_by_secret(ssh_session session, const MachineSecret& secret, const std::string& machine,
                               const std::string& login) {
  const Names names{machine, login};
  const int without = ssh_userauth_none(session, nullptr);
  if (without == SSH_AUTH_SUCCESS) return {};  // it lets everybody in
  if (without == SSH_AUTH_ERROR) return verdict(without, names, "");
  const int methods = ssh_userauth_list(session, nullptr);
  if (!secret.private_key.empty()) {
    if ((methods & SSH_AUTH_METHOD_PUBLICKEY) == 0) return refused(names, "key", ": it takes no keys.");
    return by_key(session, secret, names);
  }
  const Secret password = terminated(secret.password);
  if ((methods & SSH_AUTH_METHOD_PASSWORD) != 0)
    return verdict(ssh_userauth_password(session, nullptr, text_of(password)), names, "password");
  if ((methods & SSH_AUTH_METHOD_INTERACTIVE) != 0) return by_answering(session, password, names);
  return refused(names, "password", ": it takes no passwords.");
}

}  // namespace merlon::ssh
