// Gets an ICE credential with package:http and prints the answer. Run: dart pub add http; dart run ice_credential.dart
// Environment: CAUSEWAY_URL (for example http://127.0.0.1:8080), CAUSEWAY_API_TOKEN.
import 'dart:convert';
import 'dart:io';

import 'package:http/http.dart' as http;

final url = Platform.environment['CAUSEWAY_URL'];
final token = Platform.environment['CAUSEWAY_API_TOKEN'];

Future<Map<String, dynamic>> iceCredential(Map<String, Object> parameters) async {
  final response = await http
      .post(
        Uri.parse('$url/api/v1/credentials/ice'),
        headers: {'Authorization': 'Bearer $token', 'Content-Type': 'application/json'},
        body: jsonEncode(parameters),
      )
      .timeout(const Duration(seconds: 10));
  if (response.statusCode != 200) {
    throw HttpException('no credential: ${response.statusCode} ${response.body}');
  }
  return jsonDecode(response.body) as Map<String, dynamic>;
}

Future<void> main() async {
  final answer = await iceCredential(
      {'room': 'demo-room', 'initiator_client': 'alice', 'receiver_client': 'bob', 'ttl': 600});
  final iceServers = answer['iceServers'] as List; // flutter_webrtc takes them as they are
  final expiresAt = DateTime.parse(answer['expiresAt'] as String);
  stderr.writeln('${iceServers.length} entries, good until $expiresAt, in ${answer['region'] as String}');
  print(jsonEncode(answer));
}
