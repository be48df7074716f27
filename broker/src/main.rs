//! The program `broker`: an MQTT 3.1, 3.1.1 and 5.0 server.

mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
