// A server whose root key waits for a person: it listens, says 503 to everybody, and hears the passphrase on
// the control socket alone (trust.md, Keys).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/server.h"
#include "server/assembly.h"
#include "server/control_socket.h"

namespace merlon::server {

// Makes the assembly at once where the root key's keeper gives it out. Where it is kept by a passphrase, or
// where token or TPM refuse, waits for 'merlon unseal'; nothing when a signal ended the wait.
Result<std::unique_ptr<Assembly>> assemble_when_unsealed(AssemblyParameters parameters,
                                                         const std::vector<std::string>& listen,
                                                         ControlSocket& control, int signals,
                                                         const Clock& clock, Random& random);

// The certificate and key that a sealed server shows, in DIR/sealed-tls.pem (0600): its other keys are
// sealed. Written while the server is open; removed where a start needs nobody.
Result<void> keep_sealed_identity(const std::string& state_dir, seal::RootKind kind,
                                  const net::TlsIdentity& identity);

}  // namespace merlon::server
